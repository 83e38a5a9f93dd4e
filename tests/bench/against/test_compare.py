"""The comparison: fair turns, checked outputs, figures that follow from the samples, a command that explains itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench.against import compare as module
from bench.against.__main__ import main
from bench.against.compare import Comparison, Result, compare
from bench.engines import ENGINES, EngineMissing, Entry, Network, Session
from bench.measure.contest import Settings
from sparsenet.errors import InputError, SparsenetError
from tests.sparsenet.sample_graphs import tiny_graph

TINY = ["--models", "minixception-128", "--size", "48", "--seconds", "0.05"]


def run(*words: str) -> str:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_tiny_run_of_the_command(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    engines = ["ours", "dense", "ort"]
    text = run(*TINY, "--sparsity", "0", "0.9", "--engines", *engines, "--json", str(out))
    assert "the smallest weights by magnitude are zero" in text
    record = json.loads(out.read_text())
    assert record["settings"] == {
        "models": ["minixception-128"], "sparsity": [0, 0.9], "block": ["1x1"], "engines": engines, "threads": 1,
        "batch": 1, "seconds": 0.05, "size": 48, "seed": 0, "avx2": False,
    }  # fmt: skip
    results = record["results"]
    assert [(r["sparsity"], r["engine"]) for r in results] == [(s, e) for s in (0, 0.9) for e in engines]
    for r in results:
        assert r["error"] < 1e-4
        assert 0 < r["min_ms"] <= r["median_ms"]
        assert r["clock"] == "cpu"
        assert r["too_noisy"] == (r["ratio"] is None)
        if r["ratio"] is not None:
            assert r["ratio_interval"][0] <= r["ratio"] <= r["ratio_interval"][1]
        assert r["zeros"] == pytest.approx(0.87 if r["sparsity"] else 0, abs=0.02)
    assert {r["ratio"] for r in results if r["engine"] == "ours"} <= {1, None}
    means = {m["engine"] for m in record["geometric_means"]}
    assert means <= {"dense", "ort", "fastest"}
    assert ("ours, sparse vs ONNX Runtime" in text) == ("ort" in means), "where a ratio was told"
    assert record["versions"]["onnxruntime"]


def test_an_engine_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(network: Network, threads: int) -> Session:
        raise EngineMissing("it is not here")

    monkeypatch.setitem(ENGINES, "deepsparse", Entry("DeepSparse", missing))
    text = run(*TINY, "--sparsity", "0.5", "--engines", "ort", "deepsparse")
    assert "DeepSparse left out: it is not here." in text
    done = CliRunner().invoke(main, [*TINY, "--sparsity", "0.5", "--engines", "deepsparse"])
    assert done.exit_code == 2
    assert "error: no engine is left to time: it is not here" in done.stderr


def test_wrong_outputs_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(network: Network, threads: int) -> Session:
        right = ENGINES["ort"].prepare(network, threads)
        return Session(lambda x: [1.01 * np.asarray(y) for y in right.run(x)])

    monkeypatch.setattr(module, "build_graph", lambda *_: tiny_graph())
    monkeypatch.setitem(ENGINES, "torch", Entry("torch", wrong))
    with pytest.raises(SparsenetError, match=r"outputs of 'torch' and 'ort' differ by 0\.01 relative"):
        compare(["maskcnn"], [0.0], Settings(("ort", "torch"), seconds=0.01, warmup=0))


def test_nan_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "build_graph", lambda *_: tiny_graph())
    nan = np.full((1, 3), np.nan, np.float32)
    monkeypatch.setitem(ENGINES, "ort", Entry("ort", lambda *_: Session(lambda x: [nan, nan])))
    with pytest.raises(SparsenetError, match="'ort' returns NaN or infinity"):
        compare(["maskcnn"], [0.0], Settings(("ort",)))


def test_results_so_far_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "build_graph", lambda *_: tiny_graph())
    kept: list[int] = []
    compare(
        ["maskcnn"],
        [0.0, 0.5],
        Settings(("ort",), seconds=0.01, warmup=0),
        None,
        lambda c: kept.append(len(c.results)),
    )
    assert kept == [1, 2]


def test_geometric_means_are_per_engine_block_and_sparsity() -> None:
    def result(model: str, sparsity: float, engine: str, ratio: float | None, block: str = "1x1") -> Result:
        interval = None if ratio is None else (ratio, ratio)
        noisy = ratio is None
        return Result(
            model, sparsity, block, engine, sparsity, 1.0, 1.0, ratio, interval, noisy, 0.0, None, "cpu", 5, 0
        )

    results = [
        result("a", 0.5, "ours", 1.0),
        result("a", 0.5, "ort", 2.0),
        result("a", 0.5, "torch", 9.0),
        result("b", 0.5, "ort", 8.0),
        result("b", 0.5, "torch", 4.0),
        result("c", 0.5, "ort", 4.0),
        result("c", 0.5, "torch", None),
        result("a", 0.9, "ort", 3.0, "1x4"),
    ]
    means = Comparison("ours", results, {}).geometric_means()
    assert {(e, block, s): round(value, 6) for e, block, s, value in means} == {
        ("ort", "1x1", 0.5): 4.0,
        ("torch", "1x1", 0.5): 6.0,
        ("ort", "1x4", 0.9): 3.0,
        # Whichever is faster on each; nobody knows on c, and alone it would be the same again.
        ("fastest", "1x1", 0.5): round(8**0.5, 6),
    }


@pytest.mark.parametrize(
    "model, engine, threads, message",
    [
        ("vgg", "ort", 1, "unknown model 'vgg'"),
        ("maskcnn", "tvm", 1, "unknown engine 'tvm'"),
        ("maskcnn", "ort", 10_000, "take turns on a CPU measure nothing"),
    ],
)
def test_bad_requests(model: str, engine: str, threads: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare([model], [0.5], Settings((engine,), threads))


def test_help_has_an_example() -> None:
    text = run("--help")
    assert "python -m bench.against --models mobilenetv1 resnet50" in text
    assert "always at 68.4%" in " ".join(text.split())
