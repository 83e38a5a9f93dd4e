"""``sparsenet prune --calibrate``: a model file and some inputs become a model file with zeros, and a table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from converters import from_onnx
from converters.pruning.layers import prepared
from converters.quantization.annotate import in_bytes
from sparsenet import Engine
from sparsenet.cli import main
from sparsenet.io.model_file import load_graph
from tests.converters.pruning.networks import multiply_adds, network, samples
from tests.converters.writing.networks import model
from training.checkpoint import load_model


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["prune", *map(str, arguments)], prog_name="sparsenet")


def test_a_model_file_is_pruned(given: list[object], tmp_path: Path) -> None:
    out = tmp_path / "pruned.safetensors"
    result = run(*given, "-o", out, "--block", "1x4", "--sparsity", 0.5, "--samples", 20, "--exclude", "head")
    assert result.exit_code == 0, result.output
    weights = {node.name: weight for node, _, weight in load_graph(out).weights()}
    assert np.count_nonzero(weights["head"]) == weights["head"].size
    grouped = (weights["grouped"] != 0).reshape(16, 2, 4, 3, 3)
    np.testing.assert_array_equal(grouped.any(axis=2), grouped.all(axis=2))
    for words in ("variance lost", "grouped", "on 20 samples", "times as fast ("):
        assert words in result.stdout, words
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dense.safetensors",
        "pruned.safetensors",
        "x.npy",
    ]


def test_an_onnx_model_is_pruned(given: list[object], tmp_path: Path) -> None:
    onnx.save(model("transposed"), tmp_path / "dense.onnx")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((8, 3, 12, 12), np.float32))
    out = tmp_path / "pruned.onnx"
    result = run(tmp_path / "dense.onnx", *given[1:], "-o", out, "--sparse-initializers", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["left_dense"] == ["ConvTranspose3.phases"]
    written = onnx.load(out)
    assert written.metadata_props[0].value == "optimal brain surgeon on 8 samples"
    assert written.graph.sparse_initializer
    weights = {node.name: weight for node, _, weight in from_onnx(written, optimize=False).weights()}
    for layer in report["layers"]:
        assert np.count_nonzero(weights[layer["layer"]]) == layer["nnz"]


def test_weights_stay_weights(given: list[object], tmp_path: Path) -> None:
    out = tmp_path / "pruned.safetensors"
    small = ("--calibrate", "random", "--samples", 4, "--image-size", 32, 32, "--threads", 1)
    result = run("minixception-128", *small, "-o", out, "--as", "weights", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert not report["left_dense"]
    module, info = load_model(out)
    assert info.notes["pruned"].startswith("optimal brain surgeon on 4 samples")
    weights = dict(module.named_parameters())
    for layer in report["layers"]:
        assert weights[f"{layer['layer']}.weight"].count_nonzero() == layer["nnz"]


def test_a_network_in_integers_is_as_fast_as_asked_for(given: list[object], tmp_path: Path) -> None:
    out = tmp_path / "pruned.safetensors"
    result = run(*given, "-o", out, "--speedup", 2, "--int8", "--json")
    assert result.exit_code == 0, result.output
    report, pruned = json.loads(result.stdout), load_graph(out)
    assert report["quantization"] == "minmax ranges of 24 samples, max weights"
    assert all(name in pruned.quantization for _, name, _ in pruned.weights())
    dense = sum(multiply_adds(in_bytes(prepared(network(), ())[0])).values())
    assert report["dense_ms"] == pytest.approx(dense)
    assert report["ms"] == pytest.approx(sum(multiply_adds(pruned).values()))
    assert report["ms"] == pytest.approx(dense / 2, rel=0.05)
    x = samples(24)
    wanted, got = (Engine(graph).run({"x": x})["y"] for graph in (network(), pruned))
    assert np.square(got - wanted).mean() < 0.3 * wanted.var()


def test_milliseconds_are_met_and_told(given: list[object], tmp_path: Path) -> None:
    out = tmp_path / "pruned.safetensors"
    whole = sum(multiply_adds(network()).values())
    result = run(*given, "-o", out, "--scope", "latency", "--latency", f"{whole / 2}ms", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["dense_ms"] == pytest.approx(whole)
    assert 0.97 * whole / 2 < report["ms"] <= 1.01 * whole / 2
    assert report["ms"] == pytest.approx(report["predicted_ms"], rel=0.01)
    assert report["speedup"] == pytest.approx(whole / report["ms"])
    layers = {layer["layer"]: layer for layer in report["layers"]}
    assert layers["stem"]["ms"] == pytest.approx(layers["stem"]["predicted_ms"], rel=0.05)
    assert layers["stem"]["ms"] < layers["stem"]["dense_ms"]
    assert report["file_bytes"] == out.stat().st_size


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--method", "snip", "--finetune", "32:1"), "leave out --method, --finetune"),
        (("--sparsity", 0.5, "--n-m", "2:4"), "--sparsity, --n-m: give one of them"),
        (("--n-m", "2/4"), "'2/4' is not of the form 2:4"),
        (("--n-m", "4:2"), "N of n_m"),
        (("--latency", "3"), "'3' is no duration, for example 3ms"),
        (("--latency", "3us"), "allow more time"),
        (("--scope", "latency"), "--scope latency needs either --speedup or --latency"),
        (("--scope", "latency", "--sparsity", 0.5), "--scope latency needs either --speedup or --latency"),
        (("-o", "pruned.onnx"), "only an .onnx model is written as one"),
        (("--sparse-initializers",), "--sparse-initializers is for ONNX"),
        (("--as", "weights"), "dense.safetensors is a model file"),
        (("--as", "weights", "-o", "pruned.onnx"), "weights are no ONNX model"),
        (("--int8", "-o", "pruned.onnx"), "8-bit integers are written as model files"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(
    given: list[object], tmp_path: Path, arguments: tuple[object, ...], words: str
) -> None:
    result = run(*given, "-o", tmp_path / "out.safetensors", *arguments)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_options_of_calibration_need_it(given: list[object], tmp_path: Path) -> None:
    result = run(given[0], "-o", tmp_path / "out", "--samples", 3)
    assert result.exit_code == 2
    assert "--samples needs --calibrate DIR" in result.stderr
