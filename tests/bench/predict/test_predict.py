"""Predictions: work counted right, speeds fitted sensibly, layers timed in networks, the command explains itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import sparsenet
from bench.kernels.rates import Rate
from bench.predict import machine
from bench.predict.alone import samples_alone
from bench.predict.check import measured_ms
from bench.predict.cli import predict
from bench.predict.work import layer_work
from bench.subjects.integers import in_integers
from bench.subjects.layers import BY_FAMILY
from bench.subjects.sparsity import sparsify
from sparsenet import Graph, Node, TensorInfo
from sparsenet.errors import SparsenetError
from sparsenet.graph.counts import count_layers
from sparsenet.latency import table
from sparsenet.latency.estimate import OUTPUT_COST, Estimator, Sample
from sparsenet.latency.kinds import in_bytes, is_sparse
from sparsenet.latency.work import LayerWork, density_for
from sparsenet.targets.registry import FAMILIES
from tests.sparsenet.sample_graphs import tiny_graph

PATTERN, DENSE = "f32_conv_pattern_rows", "f32_conv_dense_rows"
#: GFLOP/s of the families with weights in a made-up machine, and GB/s of everything else.
SPEEDS = {
    DENSE: 100.0,
    "f32_conv_blocked_rows": 80.0,
    PATTERN: 50.0,
    "f32_conv_csr_rows": 40.0,
    "f32_linear_dense_flat": 10.0,
    "f32_linear_csr_flat": 5.0,
    "f32_depthwise_dense_rows": 60.0,
}
BANDWIDTH = 20.0


def made_up_rates() -> list[Rate]:
    """Every family on every layer at one speed, outputs counted in."""
    rates = []
    for family, layers in BY_FAMILY.items():
        for layer in layers:
            weighted = family in SPEEDS
            for density in (0.5, 0.1) if is_sparse(family) else (1.0 if weighted else None,):
                pixels = (layer.size // layer.stride) ** 2 if layer.size > 1 else 1
                taps = layer.c_in // layer.groups * layer.kernel**2 * (density or 1.0)
                flops = 2.0 * layer.c_out * pixels * taps
                ms = flops * (1 + OUTPUT_COST / taps) / SPEEDS[family] / 1e6 if weighted else 1.0
                gflops = flops / ms / 1e6 if weighted else None
                rates.append(
                    Rate(family, layer.name, density, 16, family, 1, ms, gflops, BANDWIDTH, 0.5, 100.0)
                )
    return rates


def conv(family: str, density: float = 1.0, width: int = 64, c_in: int = 128, kernel: int = 1) -> LayerWork:
    flops = 2.0 * c_in * 128 * kernel**2 * density * width**2
    return LayerWork("c", family, c_in, 128, kernel, 1, width**2, density, flops, 8e5, 1e6)


def wide_graph() -> Graph:
    """Two 1x1 convolutions of 64 channels over 8x8 pixels; the first reads the image, which spares it."""
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal((64, 64, 1, 1), np.float32) for name in ("u", "w")}
    nodes = [Node("conv2d", "first", ["x", "u"], ["y"]), Node("conv2d", "second", ["y", "w"], ["z"])]
    return Graph("wide", [TensorInfo("x", (None, 64, 8, 8))], ["z"], nodes, weights)


def test_work_is_that_of_the_pruned_network() -> None:
    graph = tiny_graph()
    for sparsity in (0.0, 0.9):
        counts = {c.layer: c for c in count_layers(sparsify(graph, sparsity))}
        works = {work.layer: work for work in layer_work(graph, sparsity)}
        assert counts.keys() <= works.keys()
        for name, count in counts.items():
            macs = count.nonzero_macs if is_sparse(works[name].family) else count.macs
            assert works[name].flops == pytest.approx(2 * macs)
            assert works[name].working_set > 0
    assert any(is_sparse(work.family) for work in works.values())


def test_zeros_that_are_there_count() -> None:
    pruned = sparsify(tiny_graph(), 0.9)
    as_it_is = {work.layer: work.density for work in layer_work(pruned, None)}
    less = {work.layer: work.density for work in layer_work(pruned, 0.2)}
    assert as_it_is == pytest.approx(less)


def test_every_layer_has_a_family_that_is_timed() -> None:
    families = {work.family for sparsity in (0.0, 0.9) for work in layer_work(tiny_graph(), sparsity)}
    assert families <= BY_FAMILY.keys() <= FAMILIES.keys()


def test_in_8_bits_four_weights_count_as_one() -> None:
    weight = np.zeros((1, 10, 1, 1), np.float32)
    weight[0, [0, 1, 9]] = 1.0  # of three quads, the last of which is shorter, the second is zero
    assert density_for(weight, PATTERN) == pytest.approx(0.3)
    assert density_for(weight, "u8x4_conv_pattern_rows") == pytest.approx(2 / 3)
    assert density_for(weight, "u8x4_conv_dense_rows") == 1.0


def test_a_quantized_network_is_predicted_in_8_bits() -> None:
    graph = in_integers(wide_graph())
    assert in_integers(graph) is graph
    scattered, blocks = (
        {work.layer: work for work in layer_work(graph, 0.75, block)} for block in ("1x1", "1x4")
    )
    assert in_bytes(blocks["second"].family)
    assert is_sparse(blocks["second"].family)
    assert blocks["second"].density == pytest.approx(0.25)
    assert scattered["second"].density > 0.6
    assert scattered["second"].flops == pytest.approx(2 * 64 * 64 * 64 * scattered["second"].density)
    assert blocks["second"].nbytes == 2 * 64 * 64
    assert not any(in_bytes(work.family) for work in layer_work(wide_graph(), 0.75))


def test_nothing_is_faster_than_the_fastest_sample() -> None:
    samples = [
        Sample(conv(DENSE, c_in=c), c**0.5, in_network=True) for c in (8, 16, 32, 64)
    ]  # twice as fast, the more channels: not for ever
    fastest = max(sample.work.flops / sample.ms for sample in samples)
    far = conv(DENSE, c_in=4096)
    assert far.flops / Estimator(samples).estimate(far).ms <= 1.25 * fastest


def test_families_of_one_algorithm_share_their_speed() -> None:
    known = LayerWork("m", "u8_linear_dense_flat", 64, 64, 1, 1, 1, 1.0, 8192.0, 128.0, 1e4)
    estimator = Estimator([Sample(known, 0.5, in_network=True)])
    assert estimator.estimate(replace(known, family="f32_linear8_dense_flat")).ms == pytest.approx(0.5)
    assert estimator.estimate(replace(known, family="f32_linear_dense_flat")).ms == 0.0


@pytest.mark.parametrize("family, density", [(DENSE, 1.0), (PATTERN, 0.5), (PATTERN, 0.2), (PATTERN, 0.05)])
def test_one_speed_is_found_again(family: str, density: float) -> None:
    estimator = Estimator(samples_alone(made_up_rates()))
    work = conv(family, density)
    expected = (work.flops + 2 * OUTPUT_COST * work.c_out * work.pixels) / SPEEDS[family] / 1e6
    assert estimator.estimate(work).ms == pytest.approx(expected, rel=0.1)
    assert estimator.estimate(work).family == family


def test_lanes_beyond_the_line_cost_too() -> None:
    estimator = Estimator([Sample(conv(DENSE, width=w), 1.0, in_network=False) for w in (32, 64)])
    full, waste = (estimator.estimate(conv(DENSE, width=width)).ms / width**2 for width in (48, 49))
    assert waste / full == pytest.approx(64 / 49, rel=0.1)


def test_a_trend_is_followed_beyond_the_samples() -> None:
    def took(work: LayerWork) -> float:
        return float(work.flops * work.density**-0.5)  # slower per operation, the sparser

    samples = [
        Sample(work, took(work), in_network=False)
        for density in (0.5, 0.2, 0.1, 0.05)
        for c_in in (64, 128, 256)
        for work in [conv(PATTERN, density, c_in=c_in, kernel=3)]
    ]
    work = conv(PATTERN, 0.3, kernel=3)
    assert Estimator(samples).estimate(work).ms == pytest.approx(took(work), rel=0.1)


def test_near_samples_count_for_more() -> None:
    odd = conv(DENSE, width=128, c_in=512, kernel=3)
    samples = [
        Sample(conv(DENSE, width=w, c_in=c), w * w * c / 1e5, False) for w in (32, 64) for c in (64, 128, 256)
    ]
    honest = Estimator(samples).estimate(odd).ms
    slow = Estimator([*samples, Sample(odd, 10 * honest, in_network=True)])
    far, near = (
        slow.estimate(w).ms / Estimator(samples).estimate(w).ms for w in (conv(DENSE, width=32, c_in=64), odd)
    )
    assert near > 3
    assert near > 2 * far


def test_families_without_weights_have_a_bandwidth_that_networks_correct() -> None:
    work = LayerWork("m", "f32_copy_none_rows", 1, 1, 1, 1, 100, 1.0, 0.0, 8e5, 1e5)
    alone = Estimator(samples_alone(made_up_rates()))
    assert alone.estimate(work).ms == pytest.approx(8e5 / BANDWIDTH / 1e6)
    corrected = Estimator([*alone.samples, Sample(replace(work, nbytes=1e6), 2.0, in_network=True)])
    assert corrected.estimate(work).ms == pytest.approx(1.6)


def test_samples_of_networks_share_out_what_the_network_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "AT", ((0.5, "1x1"), (0.8, "1x1")))
    monkeypatch.setattr(machine, "AT_IN_INTEGERS", ((0.8, "1x4"),))
    samples = machine.samples_in_networks([tiny_graph(), in_integers(tiny_graph())])
    assert {work.family for work in layer_work(in_integers(tiny_graph()), 0.8)} <= {
        s.work.family for s in samples
    }
    works = layer_work(tiny_graph(), 0.8)
    taken = [s for s in samples if s.work in works]
    assert taken
    assert all(sample.ms > 0 and sample.in_network for sample in samples)
    estimator = Estimator([*samples_alone(made_up_rates()), *samples])
    total = sum(estimator.estimate(work).ms for work in works)
    assert np.log(total / measured_ms(tiny_graph(), 0.8)) == pytest.approx(0, abs=np.log(4))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(table, "table_name", lambda: (str(tmp_path / "table"), "here.json"))
    sparsenet.save(tiny_graph(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def test_without_a_table_the_command_says_how_to_get_one(model: Path) -> None:
    with pytest.raises(SparsenetError, match="--measure"):
        CliRunner().invoke(predict, [str(model)], catch_exceptions=False)


def test_measured_once_kept_for_later(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.kernels.worker.run", lambda *_: made_up_rates())
    met = Sample(conv(DENSE), 1.25, in_network=True)
    monkeypatch.setattr(machine, "samples_in_networks", lambda *_: [met])
    estimator = machine.measure(lambda _: tiny_graph())
    assert list(table.load().samples) == list(estimator.samples)
    assert met in estimator.samples
    words = [str(model), "--sparsity", "0.5", "0.9", "--check", "--layers"]
    record = json.loads(CliRunner().invoke(predict, [*words, "--json"], catch_exceptions=False).output)
    rows = record["predictions"]
    assert [row["sparsity"] for row in rows] == [0.0, 0.5, 0.9]
    assert all(row["predicted_ms"] > 0 for row in rows)
    for row in rows:
        assert row["error"] == pytest.approx(row["predicted_ms"] / row["measured_ms"] - 1)
        assert sum(layer["ms"] for layer in row["layers"]) == pytest.approx(row["predicted_ms"])
    words += ["--int8", "--block", "1x4"]
    record = json.loads(
        CliRunner().invoke(predict, [*words[:4], *words[5:], "--json"], catch_exceptions=False).output
    )
    assert (record["int8"], record["block"]) == (True, "1x4")
    assert any(in_bytes(layer["family"]) for layer in record["predictions"][1]["layers"])
    text = CliRunner().invoke(predict, words[:6], catch_exceptions=False).output
    assert "measured ms" in text
    assert "layers at 90% zeros" in text
