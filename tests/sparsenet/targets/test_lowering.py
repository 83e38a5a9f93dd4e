"""Every op has a lowering on every target, or a reason why not; the targets have the same families."""

from __future__ import annotations

from types import ModuleType

import sparsenet.targets.cpu.lower as cpu
import sparsenet.targets.cuda.lower as cuda
from sparsenet.graph.ops import OPS


def test_a_cpu_runs_every_op() -> None:
    assert cpu.LOWER.keys() == OPS.keys()


def test_of_every_op_that_a_gpu_cannot_run_the_reason_is_known() -> None:
    assert cuda.LOWER.keys() | cuda.UNSUPPORTED.keys() == OPS.keys()
    assert not cuda.LOWER.keys() & cuda.UNSUPPORTED.keys()
    assert all(cuda.UNSUPPORTED.values())


def families(target: ModuleType) -> dict[str, set[str]]:
    """Module of a family of ops → its ops."""
    return {family.__name__.rpartition(".")[2]: set(family.LOWER) for family in target.FAMILIES}


def test_a_family_has_the_same_name_and_ops_on_every_target() -> None:
    """Who knows their way on one target finds it on another."""
    supported = {name: ops - cuda.UNSUPPORTED.keys() for name, ops in families(cpu).items()}
    assert families(cuda) == supported
