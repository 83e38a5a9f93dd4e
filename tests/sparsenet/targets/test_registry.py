"""The registry is the only door to kernels, and its names can be trusted."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import tests.sparsenet.targets.cuda.simulator  # noqa: F401 - before any CUDA kernel is imported
from sparsenet.graph.types import ELEMENT_TYPES
from sparsenet.targets import abi, registry
from sparsenet.targets.registry import FAMILIES, Kernel
from tests.sparsenet.targets.cuda.tiles import kernels

ELEMENT = "|".join(ELEMENT_TYPES)
NAME = re.compile(rf"({ELEMENT})_[a-z0-9]+_(blocked|csr|dense|none|pattern)_(rows|flat|maps|any)")


def test_family_names_follow_the_grammar() -> None:
    for name in FAMILIES:
        assert NAME.fullmatch(name), name
        assert name.startswith(f"{Kernel(name, 16).element}_")


def test_every_kernel_file_is_registered() -> None:
    files = {
        f"{target}.{path.stem}"
        for target in ("cpu", "cuda")
        for path in (Path(registry.__file__).parent / target / "kernels").glob("*.py")
        if path.stem != "__init__"
    }
    assert files == {family.module for family in FAMILIES.values()}


@pytest.mark.parametrize("family", FAMILIES)
def test_build_exists_and_arguments_fit_a_row(family: str) -> None:
    target, _, name = FAMILIES[family].module.partition(".")
    module = importlib.import_module(f"sparsenet.targets.{target}.kernels.{name}")
    assert callable(module.build)
    assert len(FAMILIES[family].arguments) < abi.ROW_WORDS


@pytest.mark.parametrize(
    "kernel", {kernel.family: kernel for kernel in kernels()}.values(), ids=lambda kernel: kernel.family
)
def test_parameters_of_cuda_kernels_are_those_of_the_registry(kernel: Kernel) -> None:
    parameters = list(inspect.signature(kernel.build()).parameters)  # type: ignore[arg-type]
    assert parameters[:3] == ["memory", "weights", "tables"]
    assert parameters[3:-2] == list(FAMILIES[kernel.family].arguments)
    assert parameters[-2:] == ["tensors", "numbers"]


def test_names_tell_family_epilogue_lanes_and_tile() -> None:
    kernel = Kernel("f32_conv_csr_rows", 16, (1, 4), ("add", "relu"))
    assert kernel.name == "f32_conv_csr_rows_add_relu__cpu_v16_1x4"
    assert kernel.parameter("vectors") == 4
    assert Kernel("f32_conv_csr_maps", 4, (4, 1, 32, 1, 8), ("relu",)).name == (
        "f32_conv_csr_maps_relu__cuda_v4_4x1x32x1x8"
    )
    assert kernel.arguments[-3:] == ["residual.0", "residual_row.0", "residual_channel.0"]


def test_pointers_pack_base_and_offset() -> None:
    word = abi.encode_pointer(3, 1234)
    assert (word >> abi.BASE_SHIFT, word & abi.OFFSET_MASK) == (3, 1234)
    with pytest.raises(ValueError, match="outside"):
        abi.encode_pointer(0, -1)
