"""The table of kernel families: every family is in it, figures follow from what was counted, wrong results stop it."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench.kernels import tables
from bench.kernels.__main__ import main
from bench.kernels.alone import FamilyAlone, NotOffered, plan_with
from bench.kernels.cases import NOT_TIMED, Case, cases
from bench.kernels.peak import Peak
from bench.kernels.rates import Rate, rates
from bench.measure.older_cpu import environment
from bench.subjects.layers import BY_FAMILY, LayerShape
from sparsenet.errors import SparsenetError
from sparsenet.latency.kinds import is_sparse
from sparsenet.targets.abi import ARENA, BASE_SHIFT, OFFSET_MASK
from sparsenet.targets.host import host
from sparsenet.targets.registry import FAMILIES
from sparsenet.timing import THREAD
from tests.full import LENGTHS, chosen

SMALL = LayerShape("test", "conv2d", 16, 8, 12, 3)


def test_every_family_of_the_registry_is_timed_or_says_why_not() -> None:
    assert BY_FAMILY.keys() | NOT_TIMED.keys() == FAMILIES.keys()
    assert {case.family for case in cases(quick=False)} == FAMILIES.keys() - NOT_TIMED.keys()
    assert {case.family for case in cases(quick=True)} == FAMILIES.keys() - NOT_TIMED.keys()


def test_a_new_family_must_be_given_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "f32_new_none_rows", FAMILIES["f32_fill_none_any"])
    with pytest.raises(SparsenetError, match="f32_new_none_rows"):
        cases(quick=True)


@pytest.mark.parametrize("family", [name for name in BY_FAMILY if "_conv_" not in name])
def test_the_planner_takes_the_family_for_its_layers(family: str) -> None:
    for layer in BY_FAMILY[family]:
        plan = plan_with(family, layer.graph(0.9 if is_sparse(family) else 0.0))
        assert family in {kernel.family for kernel in plan.kernels[0]}, layer.name


@pytest.mark.parametrize("family", [name for name in FAMILIES if "_conv_" in name and name not in NOT_TIMED])
def test_work_is_counted_on_nonzeros(family: str) -> None:
    alone = FamilyAlone(family, SMALL, 0.5)
    assert alone.kernel.family == family
    assert alone.work.nnz == 16 * 8 * 9 // 2
    assert alone.work.flops == 2 * alone.work.nnz * 12 * 12
    stored = alone.work.nnz if is_sparse(family) else 16 * 8 * 9
    assert alone.work.nbytes == 4 * (16 * 144 + 8 * 144 + stored)


def test_in_8_bits_a_family_alone_is_exact() -> None:
    alone = FamilyAlone("u8x4_conv_pattern_rows", SMALL, 0.5, block="1x4")
    assert alone.kernel.family == "u8x4_conv_pattern_rows"
    assert alone.error() == 0
    assert 500 < alone.work.nnz <= 16 * 8 * 9 // 2  # some are rounded to zero
    assert alone.work.nbytes == 16 * 144 + 8 * 144 + alone.work.nnz


def test_calls_alone_write_what_the_whole_layer_wrote() -> None:
    layer = LayerShape("test", "relu", 40, 40)
    alone = FamilyAlone("f32_copy_none_flat", layer, 0.0)
    expected = np.maximum(layer.example(), 0)
    np.testing.assert_array_equal(alone.output, expected)
    word = int(alone._rows[0, 1 + alone.kernel.arguments.index("out")])
    assert word >> BASE_SHIFT == ARENA
    place = (ctypes.c_float * 40).from_address(alone._arena.address + (word & OFFSET_MASK))
    np.testing.assert_array_equal(place, expected[0])
    place[:] = [-1.0] * 40
    alone.run()
    np.testing.assert_array_equal(place, expected[0])


def test_a_family_that_does_not_take_the_layer_is_left_out() -> None:
    three = LayerShape("test", "conv2d", 4, 3, 12)  # fewer channels than the shortest vector
    with pytest.raises(NotOffered):
        FamilyAlone("f32_conv_blocked_rows", three, 0.0)
    assert (
        list(rates([Case("f32_conv_blocked_rows", three, 1.0)], host().vector().lanes, 1, 0.0, False)) == []
    )


def test_a_wrong_result_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = FamilyAlone.__init__

    def garbled(self: FamilyAlone, *arguments: object) -> None:
        honest(self, *arguments)  # type: ignore[arg-type]
        self.output[0, 0, 0, 0] += 0.1

    def never(*_: object) -> None:
        pytest.fail("it was timed")

    monkeypatch.setattr(FamilyAlone, "__init__", garbled)
    monkeypatch.setattr(FamilyAlone, "repeat", never)
    with pytest.raises(SparsenetError, match=r"f32_conv_csr_rows.*is off by"):
        list(rates([Case("f32_conv_csr_rows", SMALL, 0.5)], host().vector().lanes, 1, 0.0, False))


@pytest.mark.parametrize("lanes", chosen(LENGTHS[:1], LENGTHS))
def test_no_kernel_is_faster_than_the_peak(lanes: int) -> None:
    peak = Peak(lanes)
    flops = peak.flops / min(THREAD.turn(peak.fma).seconds for _ in range(5))
    read = peak.read_bytes / min(THREAD.turn(peak.read).seconds for _ in range(5))
    assert 1e9 < flops < 1e12
    assert 1e9 < read < 1e12
    assert peak._sums[0] > 1  # the loops have really summed


def test_tables_show_the_median_over_layers_and_the_range() -> None:
    timed = [
        Rate(
            "f32_conv_csr_rows",
            f"layer {i}",
            0.1,
            16,
            "k__cpu_v16_1x4",
            5,
            1.0,
            speed,
            3.0,
            speed / 100,
            100.0,
        )
        for i, speed in enumerate([20.0, 70.0, 40.0])
    ]
    header, rows = tables.summary(timed, memory=False)
    assert header[-2:] == ["AVX-512, GFLOP/s", "of 100"]
    assert rows == [["f32_conv_csr_rows", "10%", "3", "40 (20–70)", "40 % (20–70)"]]
    assert tables.summary(timed, memory=True)[1] == []
    assert "| `f32_conv_csr_rows` | 10% | 3 | 40 (20–70) |" in tables.markdown(timed)


def test_shorter_vectors_are_compiled_for_a_cpu_that_has_no_longer_ones() -> None:
    changed = environment(8)
    assert changed["SPARSENET_LANES"] == "8"
    if host().vector().lanes == 16:
        assert "avx512" not in changed["NUMBA_CPU_FEATURES"]
        assert "+avx2" in changed["NUMBA_CPU_FEATURES"]


def test_the_command(tmp_path: Path) -> None:
    files = tmp_path / "rates.json", tmp_path / "rates.md"
    words = ["--quick", "--family", "fill", "--family", "linear", "--lanes", "4"]
    result = CliRunner().invoke(main, [*words, "--json", str(files[0]), "--markdown", str(files[1])])
    assert result.exit_code == 0, result.output
    record = json.loads(files[0].read_text())
    assert record["versions"]["numba"]
    families = {rate["family"] for rate in record["rates"]}
    assert families == {name for name in BY_FAMILY if "fill" in name or "linear" in name}
    assert all(rate["lanes"] == 4 and rate["share"] > 0 for rate in record["rates"])
    assert all(f"`{family}`" in files[1].read_text() for family in families)
