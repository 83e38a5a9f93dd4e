"""``sparsenet convert`` from source file to model file, and the functions behind it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

import sparsenet
from converters.conversion import pipeline, sources, speed
from converters.conversion.pipeline import convert
from converters.conversion.sources import open_masks, open_source
from converters.torch_import import TorchSource
from sparsenet.cli import main
from sparsenet.errors import ModelFileError, SparsenetError, UnsupportedOpError
from sparsenet.timing import Rounds, Sample
from tests.converters.onnx.models import model, node, run_onnxruntime, weights
from training.checkpoint import ModelInfo, save_model
from training.models import build_model, count_parameters
from training.pruning import find_masks


def sparse_weights(*shape: int) -> np.ndarray:
    array = weights(*shape)
    return np.where(np.abs(array) > 1.3, array, 0).astype(np.float32)


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    proto = model(
        [
            node("Conv", "x w b", "c", pads=[1, 1, 1, 1]),
            node("Relu", "c", "r"),
            node("GlobalAveragePool", "r", "p"),
            node("Flatten", "p", "f"),
            node("Gemm", "f h", transB=1),
        ],
        {"w": sparse_weights(16, 4, 3, 3), "b": weights(16), "h": weights(3, 16)},
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["convert", *map(str, args)], prog_name="sparsenet")


def test_convert_writes_a_model_the_engine_runs(onnx_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    result = run(onnx_file, "-o", output, "--verify", "--threads", 1)
    assert result.exit_code == 0, result.output
    for word in (
        "Conv_c",
        "conv2d+relu",
        "reference",
        "engine",
        "bytes",
        "nonzero",
        "MACs",
        "verified",
        "dense",
    ):
        assert word in result.stdout
    x = np.random.default_rng(0).standard_normal((2, 4, 7, 9), np.float32)
    proto = sources.OnnxSource(onnx_file).proto
    np.testing.assert_allclose(
        sparsenet.load(output, threads=1)(x), run_onnxruntime(proto, x)[0], rtol=1e-4, atol=1e-6
    )


def test_json_holds_every_figure(onnx_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    result = run(onnx_file, "-o", output, "--values", "i8", "--verify", "--json", "--threads", 1)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    nnz = np.count_nonzero(sparse_weights(16, 4, 3, 3)) + 48
    assert report["source_bytes"] == 4 * (16 * 36 + 16 + 48)
    assert report["file_bytes"] == output.stat().st_size
    assert report["compression"] == pytest.approx(report["source_bytes"] / report["file_bytes"])
    assert (report["totals"]["weights"], report["totals"]["nnz"]) == (16 * 36 + 48, nnz)
    assert report["totals"]["macs"] == 16 * 36 * 63 + 48
    assert report["verification"]["passed"]
    assert 0 < report["storage_error"] < 0.1
    assert report["speed"]["threads"] == 1
    assert report["speed"]["dense_ms"] > 0
    assert [layer["layer"] for layer in report["layers"]] == ["Conv_c", "Gemm_y"]


def test_speed_and_verification_are_optional(onnx_file: Path, tmp_path: Path) -> None:
    report = convert(onnx_file, tmp_path / "m.safetensors", measure_speed=False)
    assert report.speed is None
    assert report.verification is None
    assert report.storage_error == 0.0


def test_a_failed_verification_writes_nothing(onnx_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    result = run(onnx_file, "-o", output, "--verify", "--tolerance", "1e-12")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: 'net' as converted differs from its source by more than 1e-12")
    assert "max rel" in result.stdout
    assert not output.exists()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("none.onnx", None, "no such file"),
        ("bad.onnx", b"garbage" * 9, "'bad.onnx' is not an ONNX model"),
        ("other.txt", b"hello", "damaged or no weights file"),
    ],
)
def test_bad_models_are_one_line(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    result = run(path, "-o", tmp_path / "out.safetensors")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.strip().splitlines()) == 1
    assert re.search(message, result.stderr)


def test_what_is_a_model_file_already_is_told(onnx_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    convert(onnx_file, path, measure_speed=False)
    result = run(path, "-o", tmp_path / "out.safetensors")
    assert result.stderr.startswith(f"error: {path} is a model file: expected")


def test_unsupported_nodes_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(model([node("Det", "x", "a"), node("Unique", "a")]).SerializeToString())
    result = run(path, "-o", tmp_path / "out.safetensors")
    assert result.exit_code == 2
    assert "2 unsupported nodes: 'Det_a' (Det)" in result.stderr
    with pytest.raises(UnsupportedOpError):
        convert(path, tmp_path / "out.safetensors")


def test_an_output_that_cannot_be_written(onnx_file: Path, tmp_path: Path) -> None:
    result = run(onnx_file, "-o", tmp_path / "nowhere" / "out.safetensors")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_an_output_that_is_the_source_or_no_file(onnx_file: Path, tmp_path: Path) -> None:
    before = onnx_file.read_bytes()
    hard = tmp_path / "hard.safetensors"
    hard.hardlink_to(onnx_file)
    for output in (onnx_file, hard):
        result = run(onnx_file, "-o", output, "--no-speed")
        assert result.exit_code == 2
        assert f"{output}: is the same file as '{onnx_file}', which is read" in result.stderr
    os.mkfifo(tmp_path / "pipe")
    result = run(onnx_file, "-o", tmp_path / "pipe", "--no-speed")
    assert result.exit_code == 2
    assert "it is a named pipe, not a regular file" in result.stderr
    assert (tmp_path / "pipe").is_fifo()
    assert onnx_file.read_bytes() == before


# --- trained models and masks, through entry points ---


@dataclass
class Info:
    input_size: int = 12
    class_names: tuple[str, ...] = ("masked", "unmasked")


@dataclass
class EntryPoint:
    function: Callable[[Path], Any]

    def load(self) -> Callable[[Path], Any]:
        return self.function


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(800, 2))


MASK = (np.arange(8 * 27).reshape(8, 3, 3, 3) % 4 == 0).astype(np.uint8)


@pytest.fixture
def loaders(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_masks(path: Path) -> Mapping[str, np.ndarray]:
        return {"0.weight": MASK}

    points = {
        sources.MODEL_LOADERS: [EntryPoint(lambda path: (network(), Info()))],
        sources.MASK_LOADERS: [EntryPoint(load_masks)],
    }
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group, **_: points.get(group, []))


@pytest.mark.usefixtures("loaders")
def test_trained_models_and_masks_are_opened_by_loaders(tmp_path: Path) -> None:
    trained, masks, output = (tmp_path / name for name in ("trained.safetensors", "masks", "out.safetensors"))
    trained.touch()
    masks.touch()
    report = convert(trained, output, masks=open_masks(masks), verify_layers=True, measure_speed=False)
    assert report.totals.nnz == MASK.sum() + 1600
    graph = sparsenet.load_graph(output)
    assert graph.inputs[0].shape == (None, 3, 12, 12)
    assert json.loads(graph.metadata["class_names"]) == ["masked", "unmasked"]


def test_files_of_the_training_package(tmp_path: Path) -> None:
    trained, mask_file, output = (tmp_path / f"{name}.safetensors" for name in ("trained", "masks", "out"))
    module = build_model("minixception-128", 2)
    save_model(trained, module, ModelInfo("minixception-128", ("masked", "unmasked"), 40))
    masks = find_masks(module, method="l1", sparsity=0.8)
    masks.save(mask_file)
    result = run(
        trained, "-o", output, "--masks", mask_file, "--verify", "--no-speed", "--json", "--threads", 1
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["totals"]["nnz"] <= masks.nnz
    assert report["source_bytes"] == 4 * count_parameters(module)
    assert sparsenet.load_graph(output).inputs[0].shape == (None, 3, 40, 40)


def test_nobody_to_open_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [])
    (tmp_path / "model.pt").touch()
    with pytest.raises(ModelFileError, match="nothing installed can open the model file"):
        open_source(tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match="nothing installed can open the mask file"):
        open_masks(tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match="no such file"):
        open_masks(tmp_path / "none")


# --- structured pruning, speed ---


def test_channel_reduction_can_be_declined(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 4, 3))
    with torch.no_grad():
        module[0].weight[2:5] = 0
    reports = {}
    for reduce in (True, False):
        source = TorchSource(module, torch.randn(1, 3, 9, 9))
        path = tmp_path / f"{reduce}.safetensors"
        reports[reduce] = convert(source, path, reduce=reduce, verify_layers=True, measure_speed=False)
    assert (reports[True].removed_channels, reports[False].removed_channels) == (3, 0)
    assert reports[True].totals.weights < reports[False].totals.weights
    assert reports[True].file_bytes < reports[False].file_bytes


def conv_graph(density: float) -> sparsenet.Graph:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(32, 64, 1), nn.ReLU())
    mask = (torch.rand(64, 32, 1, 1) < density).float()
    return TorchSource(module, torch.zeros(1, 32, 24, 24), {"0.weight": mask}).graph()


def test_speed_is_measured_side_by_side() -> None:
    report = speed.measure(conv_graph(0.1), threads=1, seconds=0.2)
    assert report.dense_ms > 0
    assert report.sparse_ms > 0
    assert report.clock == "cpu"
    if report.speedup is not None:
        assert report.speedup_interval is not None
        assert report.speedup_interval[0] <= report.speedup <= report.speedup_interval[1]
    assert report.rounds + report.dropped >= speed.FEWEST_ROUNDS
    assert report.difference <= 1e-4
    assert report.memory_bytes > 0


def test_of_four_ways_the_fastest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = conv_graph(0.1)
    other = speed.in_other_numbers(graph)
    assert other is not None
    assert speed.in_other_numbers(other).quantization == {}  # type: ignore[union-attr]
    seconds = {"dense": 3.0, "sparse": 2.0, "other dense": 1.5, "other sparse": 1.0}
    samples = {name: [Sample(t, t, t)] * 9 for name, t in seconds.items()}
    monkeypatch.setattr(speed, "take_rounds", lambda turns, rounds, clock: Rounds(clock, samples))
    report = speed.measure(graph, threads=1, other=other)
    assert report.ways == {
        "float32 dense": 3e3,
        "float32 sparse": 2e3,
        "int8 dense": 1.5e3,
        "int8 sparse": 1e3,
    }
    assert report.fastest == "int8 sparse"
    assert report.verdict.endswith(
        "of the four, int8 sparse is the fastest, 1.50 times as fast as int8 dense"
    )
    samples["other dense"] = samples["other sparse"]
    report = speed.measure(graph, threads=1, other=other)
    assert report.fastest is None
    assert report.verdict.endswith("are the fastest, and equal here")


def scripted(monkeypatch: pytest.MonkeyPatch, dense: list[float], clean: list[bool] | None = None) -> None:
    """Dense runs take so long, sparse ones 1 s; those of rounds that are not clean were disturbed."""
    flags = clean or [True] * len(dense)
    samples = {
        "dense": [Sample(t, t, t, clean=c) for t, c in zip(dense, flags, strict=True)],
        "sparse": [Sample(1.0, 1.0, 1.0) for _ in dense],
    }
    monkeypatch.setattr(speed, "take_rounds", lambda turns, rounds, clock: Rounds(clock, samples))


@pytest.mark.parametrize(
    "density, ratio, words",
    [
        (0.1, 2.0, "sparse kernels are 2.00 times as fast as dense ones here"),
        (0.9, 0.9, "of the weights are zero, which is too few; prune further"),
        (0.2, 1.0, "sparse kernels are no faster than dense ones here"),
    ],
)
def test_verdict(monkeypatch: pytest.MonkeyPatch, density: float, ratio: float, words: str) -> None:
    scripted(monkeypatch, [ratio] * 9)
    assert words in speed.measure(conv_graph(density), threads=1).verdict


def test_a_verdict_knows_when_rounds_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [7.0, 0.5, 0.6, 5.0, 0.7, 2.0, 0.5, 0.6, 6.0])
    report = speed.measure(conv_graph(0.2), threads=1)
    assert report.speedup is report.speedup_interval is None
    assert report.verdict.startswith("the machine was too noisy to tell (9 of 9 rounds undisturbed")


def test_a_verdict_rests_on_undisturbed_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [3.0] * 6 + [9.0] * 6, [True] * 6 + [False] * 6)
    report = speed.measure(conv_graph(0.1), threads=1)
    assert (report.speedup, report.rounds, report.dropped) == (3.0, 6, 6)
    scripted(monkeypatch, [3.0] * 4 + [9.0] * 6, [True] * 4 + [False] * 6)
    report = speed.measure(conv_graph(0.1), threads=1)
    assert report.speedup is None
    assert report.verdict.startswith("the machine was too noisy to tell (4 of 10 rounds undisturbed")


def test_the_report_says_that_it_cannot_tell(
    monkeypatch: pytest.MonkeyPatch, onnx_file: Path, tmp_path: Path
) -> None:
    scripted(monkeypatch, [3.0] * 9, [False] * 9)
    result = run(onnx_file, "-o", tmp_path / "m.safetensors")
    assert result.exit_code == 0, result.output
    assert "too noisy to tell how the speed changed" in result.output
    assert "0 rounds counted, 9 were disturbed" in result.output


def test_runs_that_disagree_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "relative_error", lambda got, expected: float("nan"))
    with pytest.raises(SparsenetError, match="their times mean nothing"):
        speed.measure(conv_graph(0.5), threads=1)


def test_storage_error_is_stated(onnx_file: Path, tmp_path: Path) -> None:
    errors = {
        values: convert(onnx_file, tmp_path / values, values=values, measure_speed=False).storage_error
        for values in ("f32", "f16", "i8")
    }
    assert errors["f32"] == 0
    assert 0 < errors["f16"] < 1e-3
    assert errors["f16"] < errors["i8"] < 0.1
    text = run(onnx_file, "-o", tmp_path / "m", "--values", "f16", "--no-speed").stdout
    assert "weights stored as f16 change the outputs by up to" in text


def test_source_may_be_open_already(onnx_file: Path, tmp_path: Path) -> None:
    source = open_source(onnx_file)
    assert pipeline.convert(source, tmp_path / "m", measure_speed=False).name == "net"
