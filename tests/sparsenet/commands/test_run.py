"""run, profile and explain on a model small enough to compute by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import sparsenet
from sparsenet.cli import main
from sparsenet.graph import Graph, Node, TensorInfo


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def one_line(result: Result) -> str:
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sums the red channel into output 0, minus the green one into output 1; blue has weight zero."""
    weight = np.zeros((2, 3, 4, 4), np.float32)
    weight[0, 0], weight[1, 1] = 1, -1
    graph = Graph(
        "sums",
        [TensorInfo("input", (None, 3, 4, 4))],
        ["y"],
        [
            Node("conv2d", "sum", ["input", "weight"], ["map"]),
            Node("flatten", "flat", ["map"], ["y"]),
        ],
        {"weight": weight},
        {"class_names": '["red", "green"]'},
    )
    path = tmp_path_factory.mktemp("model") / "sums.safetensors"
    sparsenet.save(graph, path)
    return path


@pytest.fixture
def x(tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(96, dtype=np.float32).reshape(2, 3, 4, 4))
    return path


EXPECTED = [[120.0, -376.0], [888.0, -1144.0]]


@pytest.mark.parametrize("threads", [1, 2])
def test_run_saves_and_shows_the_outputs(model: Path, x: Path, tmp_path: Path, threads: int) -> None:
    out = tmp_path / "y.npz"
    result = invoke("run", model, "--input", x, "--output", out, "--threads", threads, "--top", 1)
    assert result.exit_code == 0, result.stderr
    with np.load(out) as saved:
        np.testing.assert_allclose(saved["y"], EXPECTED)
    lines = result.stdout.splitlines()
    assert lines[0] == "y: 2×2, from -1144 to 888, mean -128"
    assert [line.split() for line in lines[3:5]] == [
        ["0", "1", "0", "red", "120"],
        ["1", "1", "0", "red", "888"],
    ]
    assert lines[-1] == f"saved to {out}"


def test_run_prints_json(model: Path, x: Path) -> None:
    (output,) = json.loads(invoke("run", model, "--input", f"input={x}", "--json").stdout)
    assert (output["output"], output["shape"], output["max"]) == ("y", [2, 2], 888.0)
    assert output["top"][1] == [
        {"index": 0, "class": "red", "value": 888.0},
        {"index": 1, "class": "green", "value": -1144.0},
    ]


def test_run_takes_an_image(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (9, 7), (255, 0, 0)).save(path)
    (output,) = json.loads(invoke("run", model, "--input", path, "--json").stdout)
    assert [entry["value"] for entry in output["top"][0]] == [16.0, 16.0]


def test_run_on_random_numbers_is_repeatable(model: Path) -> None:
    first, again, other = (
        invoke("run", model, "--random", "--batch", 3, "--seed", seed, "--json").stdout for seed in (1, 1, 2)
    )
    assert json.loads(first)[0]["shape"] == [3, 2]
    assert first == again != other


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((1, 3, 4, 5), np.float32), "must have shape (N, 3, 4, 4), got (1, 3, 4, 5)"),
        (np.zeros((1, 3, 4, 4)), "has dtype float64, expected float32"),
        (np.full((1, 3, 4, 4), np.nan, np.float32), "holds 48 NaN"),
    ],
    ids=["shape", "dtype", "nan"],
)
def test_run_refuses_a_bad_input_in_one_line(
    model: Path, tmp_path: Path, array: np.ndarray, message: str
) -> None:
    path = tmp_path / "bad.npy"
    np.save(path, array)
    line = one_line(invoke("run", model, "--input", path))
    assert line.startswith("error: ")
    assert message in line


def test_run_refuses_an_unknown_name(model: Path, x: Path) -> None:
    assert one_line(invoke("run", model, "--input", f"image={x}")) == (
        "error: the model has no input 'image'; its inputs: input"
    )


def test_run_says_where_it_cannot_write(model: Path, x: Path, tmp_path: Path) -> None:
    out = tmp_path / "no" / "y.npz"
    line = one_line(invoke("run", model, "--input", x, "--output", out))
    assert line == f"error: {out}: cannot be written: there is no folder {out.parent}"


@pytest.mark.parametrize("command", [["run", "--random"], ["profile"], ["explain"]], ids=lambda c: c[0])
def test_a_truncated_model_is_one_line(model: Path, tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(model.read_bytes()[:-10])
    assert one_line(invoke(*command, path)).startswith(f"error: {path}: is truncated")


@pytest.mark.parametrize("dense", [False, True])
def test_profile_times_every_layer_and_the_start(model: Path, dense: bool) -> None:
    result = invoke("profile", model, "--threads", 1, "--runs", 3, "--json", *(["--dense"] if dense else []))
    report = json.loads(result.stdout)
    assert report["threads"] == 1
    assert set(report["ms"]) == {"imports", "load", "plan", "compile", "first", "steady"}
    assert all(ms > 0 for ms in report["ms"].values())
    layers = {layer["layer"]: layer for layer in report["layers"]}
    assert layers["sum"]["nnz"] == 32
    assert layers["sum"]["density"] == pytest.approx(1 / 3)
    assert ("dense" in layers["sum"]["kernel"]) is dense
    assert sum(layer["share"] for layer in report["layers"]) == pytest.approx(1)


def test_profile_prints_a_table(model: Path) -> None:
    result = invoke("profile", model, "--threads", 2, "--runs", 2)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["layer", "op", "ms", "share", "nnz", "density", "Gop/s", "kernel"]
    assert ["sum", "conv2d"] in [line.split()[:2] for line in lines]
    assert lines[-3].endswith("s (threads: 2)")
    assert [line.partition(":")[0] for line in lines[-2:]] == ["steady", "layers"]


def test_explain_gives_a_reason_for_each_choice(model: Path) -> None:
    (decision, *_) = json.loads(invoke("explain", model, "--threads", 1, "--json").stdout)
    assert (decision["layer"], decision["format"], decision["nnz"]) == ("sum", "csr", 32)
    assert "% zeros" in decision["reason"]
    text = invoke("explain", model, "--threads", 1).stdout
    assert decision["reason"] in text
    assert decision["kernel"] in text
    plan = sparsenet.load(model, threads=1).plan
    assert (
        f"{plan.weights.nbytes:,} bytes of packed weights, {plan.working_bytes:,} of working memory" in text
    )


def test_explain_without_sparse_kernels(model: Path) -> None:
    (decision, *_) = json.loads(invoke("explain", model, "--dense", "--json").stdout)
    assert decision["format"] == "dense"


def test_explain_plans_for_another_cpu(model: Path) -> None:
    (decision, *_) = json.loads(invoke("explain", model, "--target", "neon", "--json").stdout)
    assert "__cpu_v4" in decision["kernel"]
    assert "without --tune" in one_line(invoke("explain", model, "--target", "neon", "--tune"))


def test_explain_shows_every_call(model: Path) -> None:
    told = json.loads(invoke("explain", model, "--target", "sse", "--threads", 1, "--calls", "--json").stdout)
    calls = [call for section in told["sections"] for share in section["shares"] for call in share]
    text = invoke("explain", model, "--target", "sse", "--threads", 1, "--calls").stdout
    assert [call["kernel"] for call in calls] == [
        line.partition("(")[0].strip() for line in text.splitlines() if line.startswith("  ")
    ]


@pytest.mark.parametrize("threads", [1, 2])
def test_explain_shows_the_schedule(model: Path, threads: int) -> None:
    segments = json.loads(invoke("explain", model, "--threads", threads, "--schedule", "--json").stdout)
    assert "sum" in [stage["layer"] for segment in segments for stage in segment["stages"]]
    assert all(len(segment["calls"]) == threads for segment in segments)
    text = invoke("explain", model, "--threads", threads, "--schedule").stdout
    assert text.startswith("segment 1: ")
    assert text.count("segment ") == len(segments)
    assert text.count("--- all threads wait ---") == (len(segments) - 1) * (threads - 1)
    assert "working set" in text


@pytest.mark.parametrize("suffix, magic", [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_explain_draws_the_schedule(model: Path, tmp_path: Path, suffix: str, magic: bytes) -> None:
    picture = tmp_path / f"schedule{suffix}"
    result = invoke("explain", model, "--threads", 2, "--plot", picture)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{picture}: ")
    assert picture.read_bytes().startswith(magic)


def test_a_picture_needs_a_known_suffix_and_matplotlib(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert one_line(invoke("explain", model, "--plot", tmp_path / "a.txt")).endswith(
        "a schedule is drawn as one of .png, .svg, .pdf"
    )
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "sparsenet.commands.schedule_plot", raising=False)
    assert one_line(invoke("explain", model, "--threads", 1, "--plot", tmp_path / "a.png")) == (
        "error: drawing a schedule needs the extra 'plot': pip install '.[plot]' in the folder of sparsenet's source"
    )
