"""Predictions: work counted right, rates interpolated sensibly, factors measured, the command explains itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import sparsenet
from bench.kernels.measure import Rate
from bench.predict import machine
from bench.predict.check import measured_ms
from bench.predict.cli import predict
from bench.predict.estimate import Estimator, kind
from bench.predict.work import FAMILIES, LayerWork, layer_work
from bench.shapes import BY_FAMILY, LayerShape
from bench.sparsity import sparsify
from sparsenet.counts import count_layers
from sparsenet.errors import SparsenetError
from sparsenet.ops import OPS
from tests.sparsenet.sample_graphs import tiny_graph

#: GFLOP/s of every convolution family in the made-up machine, and GB/s of everything else.
SPEEDS = {
    "f32_conv_dense_rows": 100.0,
    "f32_conv_blocked_rows": 80.0,
    "f32_conv_pattern_rows": 50.0,
    "f32_conv_csr_rows": 40.0,
    "f32_linear_dense_flat": 10.0,
    "f32_linear_csr_flat": 5.0,
    "f32_depthwise_dense_rows": 60.0,
}


def made_up_rates(slope: float = 0.0) -> list[Rate]:
    """Every family on every layer at one speed; sparse ones ``density ** slope`` times that."""
    rates = []
    for family, layers in BY_FAMILY.items():
        sparse = "_csr_" in family or "_pattern_" in family
        weighted = family in SPEEDS
        for layer in layers:
            for density in (0.5, 0.1) if sparse else (1.0 if weighted else None,):
                speed = SPEEDS.get(family, 20.0) * (density or 1.0) ** slope
                gflops = speed if weighted else None
                rates.append(Rate(family, layer.name, density, 16, family, 1, 1.0, gflops, 20.0, 0.5, 100.0))
    return rates


def conv(density: float, kernel: int = 1, stride: int = 1, groups: int = 1) -> LayerWork:
    flops = 2.0 * 128 * 128 // groups * kernel**2 * 28**2
    return LayerWork("c", "conv2d", 128, 128, kernel, stride, groups, 28**2, density, flops, 8e5, None)


def test_work_is_that_of_the_pruned_network() -> None:
    graph = tiny_graph()
    for sparsity in (0.0, 0.9):
        counts = {c.layer: c for c in count_layers(sparsify(graph, sparsity))}
        pixels = {name: c.macs / c.weights for name, c in counts.items()}  # rounding: one weight more or less
        for work in layer_work(graph, sparsity):
            if work.op in ("conv2d", "linear"):
                assert work.flops == pytest.approx(
                    2 * counts[work.layer].nonzero_macs, abs=2 * pixels[work.layer]
                )


def test_zeros_that_are_there_count() -> None:
    pruned = sparsify(tiny_graph(), 0.9)
    as_it_is = {work.layer: work.density for work in layer_work(pruned, None)}
    less = {work.layer: work.density for work in layer_work(pruned, 0.2)}
    assert as_it_is == pytest.approx(less)


def test_every_op_is_counted_or_free() -> None:
    free = {"conv2d", "linear", "flatten", "reshape", "identity", "dropout"}
    assert FAMILIES.keys() | free == set(OPS)
    assert set(FAMILIES.values()) <= BY_FAMILY.keys()


def test_the_fastest_family_counts() -> None:
    estimator = Estimator(made_up_rates())
    dense, sparse = estimator.estimate(conv(1.0)), estimator.estimate(conv(0.2))
    assert (dense.family, sparse.family) == ("f32_conv_dense_rows", "f32_conv_pattern_rows")
    assert dense.ms == pytest.approx(conv(1.0).flops / 100e9 * 1e3)
    assert sparse.ms == pytest.approx(conv(0.2).flops / 50e9 * 1e3)
    assert estimator.estimate(conv(0.2), sparse=False).ms == pytest.approx(dense.ms)
    assert estimator.estimate(conv(0.9)).family == "f32_conv_dense_rows"  # sparse does not pay yet


def test_rates_are_interpolated_over_density() -> None:
    estimator = Estimator(made_up_rates(slope=0.5))
    for density in (0.2, 0.1, 0.03):  # between and beyond what was measured
        expected = conv(density).flops / (50e9 * density**0.5) * 1e3
        assert estimator.estimate(conv(density)).ms == pytest.approx(expected, rel=1e-6)


def test_near_layers_count_for_more() -> None:
    rates = [
        rate for rate in made_up_rates() if "dense_rows" not in rate.family and "blocked" not in rate.family
    ]
    table = [layer for layer in BY_FAMILY["f32_conv_dense_rows"] if layer.kernel == 1]
    fast, slow = (next(layer for layer in table if layer.size == size) for size in (28, 7))
    for layer in table:
        speed = 200.0 if layer is fast else 20.0
        rates.append(Rate("f32_conv_dense_rows", layer.name, 1.0, 16, "k", 1, 1.0, speed, 20.0, 0.5, 100.0))
    estimator = Estimator(rates)

    def work(layer: LayerShape) -> LayerWork:
        pixels = layer.size**2
        return LayerWork("c", "conv2d", layer.c_in, layer.c_out, 1, 1, 1, pixels, 1.0, 1e9, 1.0, None)

    assert estimator.estimate(work(fast)).ms < 0.5 * estimator.estimate(work(slow)).ms


def test_factors_are_applied_by_kind() -> None:
    estimator = Estimator(made_up_rates(), {"dense": 1.5, "other": 3.0, "depthwise": 2.0})
    plain = Estimator(made_up_rates())
    relu = LayerWork("r", "relu", 1, 1, 1, 1, 1, 100, 1.0, 0.0, 8e5, "f32_copy_none_rows")
    for work, factor in ((conv(1.0), 1.5), (conv(0.1), 1.0), (relu, 3.0), (conv(1.0, 3, 1, 128), 2.0)):
        assert estimator.estimate(work).ms == pytest.approx(factor * plain.estimate(work).ms)
    assert {kind(family) for family in BY_FAMILY} == {"dense", "sparse", "linear", "depthwise", "other"}


def test_factors_bring_estimates_to_what_networks_take() -> None:
    estimator = Estimator(made_up_rates())
    estimator.factors = machine.factors(estimator, [tiny_graph()])
    assert {"sparse", "other"} <= estimator.factors.keys()
    total = sum(estimator.estimate(work).ms for work in layer_work(tiny_graph(), 0.8))
    assert total == pytest.approx(measured_ms(tiny_graph(), 0.8), rel=3.0)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "table_path", lambda: tmp_path / "table" / "here.json")
    sparsenet.save(tiny_graph(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def test_without_a_table_the_command_says_how_to_get_one(model: Path) -> None:
    with pytest.raises(SparsenetError, match="--measure"):
        CliRunner().invoke(predict, [str(model)], catch_exceptions=False)


def test_measured_once_kept_for_later(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.worker, "run", lambda *_: made_up_rates())
    monkeypatch.setattr(machine, "factors", lambda *_: {"dense": 1.25})
    estimator = machine.measure(lambda _: tiny_graph())
    assert machine.load().factors == estimator.factors == {"dense": 1.25}
    words = [str(model), "--sparsity", "0.5", "0.9", "--check", "--layers"]
    record = json.loads(CliRunner().invoke(predict, [*words, "--json"], catch_exceptions=False).output)
    rows = record["predictions"]
    assert [row["sparsity"] for row in rows] == [0.0, 0.5, 0.9]
    assert rows[0]["predicted_ms"] >= rows[1]["predicted_ms"] >= rows[2]["predicted_ms"]
    for row in rows:
        assert row["error"] == pytest.approx(row["predicted_ms"] / row["measured_ms"] - 1)
        assert sum(layer["ms"] for layer in row["layers"]) == pytest.approx(row["predicted_ms"])
    text = CliRunner().invoke(predict, words, catch_exceptions=False).output
    assert "measured ms" in text
    assert "layers at 90% zeros" in text
