"""The registry is the only door to kernels, and its names can be trusted."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from sparsenet.kernels import abi, registry
from sparsenet.kernels.registry import FAMILIES, Kernel

NAME = re.compile(r"f32_[a-z0-9]+_(blocked|csr|dense|none|pattern)_(rows|flat|any)")


def test_family_names_follow_the_grammar() -> None:
    for name in FAMILIES:
        assert NAME.fullmatch(name), name


def test_every_kernel_file_is_registered() -> None:
    folder = Path(registry.__file__).parent / "cpu"
    files = {f"cpu.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"}
    assert files == {family.module for family in FAMILIES.values()}


@pytest.mark.parametrize("family", FAMILIES)
def test_build_exists_and_arguments_fit_a_row(family: str) -> None:
    module = importlib.import_module(f"sparsenet.kernels.{FAMILIES[family].module}")
    assert callable(module.build)
    assert len(FAMILIES[family].arguments) < abi.ROW_WORDS


def test_names_tell_family_epilogue_lanes_and_tile() -> None:
    kernel = Kernel("f32_conv_csr_rows", 16, (1, 4), ("add", "relu"))
    assert kernel.name == "f32_conv_csr_rows_add_relu__cpu_v16_1x4"
    assert kernel.parameter("vectors") == 4
    assert kernel.arguments[-3:] == ["residual.0", "residual_row.0", "residual_channel.0"]


def test_pointers_pack_base_and_offset() -> None:
    word = abi.encode_pointer(3, 1234)
    assert (word >> abi.BASE_SHIFT, word & abi.OFFSET_MASK) == (3, 1234)
    with pytest.raises(ValueError, match="outside"):
        abi.encode_pointer(0, -1)
