"""``sparsenet quantize`` from a checkpoint, an ONNX file or a model file to one that the engine runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import sparsenet
from sparsenet.cli import main
from sparsenet.graph.integer import integer_nodes
from sparsenet.io.model_file import is_model_file, load_graph, save
from tests.converters.onnx.models import model, node, weights
from tests.converters.quantization.networks import images, mixed
from training.checkpoint import ModelInfo, save_model
from training.models import build_model


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["quantize", *map(str, args), "--threads", "1"], prog_name="sparsenet")


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    save(mixed(), tmp_path / "float.safetensors")
    np.save(tmp_path / "x.npy", np.concatenate(images()))
    return tmp_path / "float.safetensors"


def test_a_model_file(model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.safetensors"
    options = ("--samples", 7, "--method", "percentile", "--keep-float", "first")
    result = run(model_file, "--calibrate", tmp_path / "x.npy", "-o", out, *options)
    assert result.exit_code == 0, result.output
    graph = load_graph(out)
    assert len(integer_nodes(graph, graph.shapes())) == len(graph.nodes) - 3
    for words in (
        "computed in",
        "float32",
        "int8      17 of 20 layers",
        "percentile ranges of 7 samples",
        "softmax.y: ",
    ):
        assert words in result.stdout, words
    again = run(model_file, "--calibrate", tmp_path / "x.npy", "-o", tmp_path / "again", *options, "--json")
    assert (tmp_path / "again").read_bytes() == out.read_bytes()
    report = json.loads(again.stdout)
    assert report["file_bytes"] == out.stat().st_size
    assert report["integer_layers"] == 17
    assert 0.5 < report["integer_macs"] < 1
    assert report["outputs"]["softmax.y"] > 20
    told = json.loads(CliRunner().invoke(main, ["info", str(out), "--json"]).stdout)
    computed = {layer["layer"]: layer["computed_in"] for layer in told["layers"]}
    assert (computed["stem"], computed["block"], computed["softmax"]) == ("float32", "int8", "float32")
    assert "bitmask i8_row" in str(told) or "dense i8_row" in str(told)
    assert "int8" in CliRunner().invoke(main, ["info", str(out)]).stdout
    assert "computed in" not in CliRunner().invoke(main, ["info", str(model_file)]).stdout


def test_a_checkpoint_and_a_folder_of_images(tmp_path: Path) -> None:
    info = ModelInfo("minixception-128", ("masked", "unmasked"), 40, (0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
    trained, out = tmp_path / "student.safetensors", tmp_path / "int8.safetensors"
    save_model(trained, build_model("minixception-128", 2), info)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 50, 44, 3), np.uint8)
    faces = tmp_path / "faces"
    faces.mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(faces / f"{i}.png")
    result = run(trained, "--calibrate", faces, "-o", out, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["samples"] == 6
    assert report["integer_macs"] == 1
    assert all(snr > 20 for snr in report["outputs"].values())
    assert report["file_bytes"] < 0.3 * trained.stat().st_size
    graph = load_graph(out)
    assert json.loads(graph.metadata["class_names"]) == ["masked", "unmasked"]
    assert sparsenet.load(out, threads=1)(np.zeros((1, 3, 40, 40), np.float32)).shape == (1, 2)


def test_an_onnx_file(tmp_path: Path) -> None:
    proto = model(
        [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "r"), node("Conv", "r v", "y")],
        {"w": weights(8, 4, 3, 3), "v": weights(4, 8, 1, 1)},
    )
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    out = tmp_path / "int8.safetensors"
    result = run(tmp_path / "net.onnx", "--calibrate", "random", "--samples", 3, "-o", out)
    assert result.exit_code == 0, result.output
    assert "which were random numbers: for tests of speed alone" in result.stdout
    assert "random numbers" in load_graph(out).metadata["quantization"]
    assert is_model_file(out)
    assert not is_model_file(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    "options, message",
    [
        (("--calibrate", "nowhere"), "nowhere: no such file or folder"),
        (("--calibrate", "{x}", "--keep-float", "stem2"), "no layer with weights is called 'stem2'"),
        (("--calibrate", "{x}", "--dim", "n=3"), "is a model file, which has its sizes"),
        (("--calibrate", "{x}", "--method", "kl"), "'kl' is not one of"),
        (("--calibrate", "{x}", "-o", "{x}"), "x.npy"),
        ((), "Missing option '--calibrate'"),
    ],
)
def test_what_is_wrong_is_one_line_and_writes_nothing(
    model_file: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    before = sorted(tmp_path.iterdir())
    x = str(tmp_path / "x.npy")
    result = run(model_file, "-o", tmp_path / "out", *(option.replace("{x}", x) for option in options))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_quantized_file_is_not_quantized_again(model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.safetensors"
    assert run(model_file, "--calibrate", tmp_path / "x.npy", "-o", out).exit_code == 0
    result = run(out, "--calibrate", tmp_path / "x.npy", "-o", tmp_path / "again")
    assert result.exit_code == 2
    assert "is quantized already" in result.stderr
