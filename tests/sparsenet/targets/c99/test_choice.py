"""Kernels are chosen for all layers together: each other one must be worth its code."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet.graph.types import F32
from sparsenet.targets.c99.choice import Choice, chosen
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.stage import Stage
from sparsenet.targets.c99.value import Value

WIDE, NARROW, NARROWER = (Kernel("f32_conv_csr_rows", (1, tile, 1)) for tile in (24, 12, 6))


def choices(*costs: dict[Kernel, int]) -> list[Choice]:
    stage = Stage("layer", Value("x", (1, 1, 1), F32), WIDE, {}, [], 1)
    return [Choice(stage, cost, lambda _: {}) for cost in costs]


@pytest.mark.parametrize("slower, kernels", [(1_001, [NARROW, NARROW]), (1_200, [WIDE, NARROW])])
def test_a_kernel_is_left_out_if_its_code_is_worth_more(slower: int, kernels: list[Kernel]) -> None:
    """The first layer alone has a fast kernel of its own, which needs about 1 kB."""
    both = {WIDE: 1_000_000, NARROW: 1_000 * slower}
    assert chosen(choices(both, {NARROW: 1_000_000})) == kernels


def test_every_layer_gets_a_kernel_of_its_own_ways() -> None:
    rng = np.random.default_rng(0)
    costs = [
        {kernel: int(rng.integers(1, 1000)) for kernel in (WIDE, NARROW, NARROWER)[first:]}
        for first in (0, 1, 2, 2, 1, 0)
    ]
    found = chosen(choices(*costs))
    assert all(kernel in cost for kernel, cost in zip(found, costs, strict=True))
    in_use = set(found)
    assert all(
        cost[kernel] == min(cost[k] for k in in_use & cost.keys())
        for kernel, cost in zip(found, costs, strict=True)
    )


def test_little_to_choose() -> None:
    assert chosen([]) == []
    assert chosen(choices({WIDE: 7})) == [WIDE]
    assert chosen(choices({NARROW: 0, WIDE: 0}, {WIDE: 0})) in ([WIDE, WIDE], [NARROW, WIDE])
