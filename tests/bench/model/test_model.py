"""``sparsenet bench``: options as people know them, checked outputs, fields that the glossary explains."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import sparsenet
from bench.engines import ENGINES, EngineMissing, Entry, Session
from bench.engines.onnx_writer import write_onnx
from bench.kernels.rates import Rate
from bench.measure.contest import Settings
from bench.model.cli import bench
from bench.model.layers import Layer
from bench.model.results import Result, measure
from bench.model.trace import trace_events
from bench.subjects.source import open_model
from sparsenet import Engine, Graph, Node, TensorInfo
from sparsenet.errors import InputError, SparsenetError
from sparsenet.graph.counts import count_layers, total
from sparsenet.timing import THREAD, Sample
from tests.sparsenet.sample_graphs import tiny_graph

GLOSSARY = (Path(__file__).resolve().parents[3] / "docs" / "benchmark.md").read_text()
QUICK = ["--threads", "1", "--rounds", "3", "-w", "0", "-q"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    sparsenet.save(tiny_graph(), path)
    return path


def run(*words: object) -> dict:
    result = CliRunner().invoke(bench, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_engines_side_by_side(model: Path, tmp_path: Path) -> None:
    export = tmp_path / "out.json"
    record = run(model, "--engines", "ours", "dense", "ort", "torch", *QUICK, "--json", "-x", export)
    assert json.loads(export.read_text()) == record
    results = record["results"]
    assert [result["engine"] for result in results] == ["ours", "dense", "ort", "torch"]
    for result in results:
        assert result["threads"] == result["batch"] == 1
        assert result["rounds"] + result["dropped"] >= 3
        assert result["clock"] == "cpu"
        assert result["latency_ms_min"] <= result["latency_ms_median"] <= result["latency_ms_p99"]
        assert result["items_per_second"] == pytest.approx(1e3 / result["latency_ms_median"])
        assert result["too_noisy"] == (result["speedup"] is None)
        if not result["too_noisy"]:
            assert result["speedup_low"] <= result["speedup"] <= result["speedup_high"]
        assert result["error"] < 1e-4
    assert results[0]["speedup"] in (1.0, None)
    assert record["versions"]["commit"]


def test_sparsities_batches_and_threads_are_swept(model: Path) -> None:
    words = ["--sparsity", "0", "0.9", "-b", "1", "2", model, "--engines", "ours"]
    record = run(*words, *QUICK, "--json")
    cells = [(result["batch"], result["sparsity"]) for result in record["results"]]
    assert cells == [(1, 0.0), (1, 0.9), (2, 0.0), (2, 0.9)]
    zeros = [result["zeros"] for result in record["results"]]
    assert zeros[1] > zeros[0]


@pytest.mark.parametrize(
    "words",
    [
        ["--num_threads", "1", "--num_runs", "3", "--warmup_time", "0", "--batch_size", "1", "--quiet"],
        ["-ncores", "1", "-t", "0.01", "-w", "0", "-b", "1", "-q"],
    ],
)
def test_options_of_peers(model: Path, words: list[str]) -> None:
    assert run(model, "--engines", "ours", *words, "--json")["results"][0]["threads"] == 1


def test_layers_and_the_table(model: Path) -> None:
    record = run(model, "--engines", "ours", "dense", "--sparsity", "0.9", *QUICK, "--layers", "--json")
    layers = {layer["layer"]: layer for layer in record["layers"]}
    assert {node.name for node in tiny_graph().nodes if node.op == "conv2d"} <= layers.keys()
    assert all(layer["kernel"].startswith("f32_") for layer in layers.values() if layer["nnz"])
    result = CliRunner().invoke(bench, [str(model), "--engines", "ours", "dense", *QUICK, "--layers"])
    assert "ours, sparse is × as fast" in result.output
    assert "layers as it is, 1 thread," in result.output
    zeros = f"{total(count_layers(tiny_graph())).sparsity:.1%}"
    assert result.output.splitlines()[2].split()[:4] == ["as", "it", "is", zeros]


def test_an_onnx_file_and_a_network_of_the_zoo(tmp_path: Path) -> None:
    write_onnx(tiny_graph(), tmp_path / "tiny.onnx")
    assert run(tmp_path / "tiny.onnx", "--engines", "ours", *QUICK, "--json")["results"]
    assert open_model("minixception-128", 48).inputs[0].shape == (None, 3, 48, 48)


def test_layers_too_noisy_to_tell_have_no_speed_up(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(THREAD, "judged", lambda wall, cpu, came: Sample(cpu, wall, cpu, *came, clean=False))
    command = [str(model), "--engines", "ours", "dense", *QUICK, "--layers"]
    record = json.loads(CliRunner().invoke(bench, [*command, "--json"]).output)
    assert all(layer["too_noisy"] and layer["speedup"] is None for layer in record["layers"])
    assert all(layer["rounds"] == 0 and layer["dropped"] == 30 for layer in record["layers"])
    assert "too noisy to tell (0 of 30 runs undisturbed)" in CliRunner().invoke(bench, command).output


def test_the_trace_holds_start_layers_and_kernels(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    run(model, "--engines", "ours", *QUICK, "--trace", path, "--json")
    events = json.loads(path.read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert {"plan", "compile", "first"} <= {event["name"] for event in spans if event["cat"] == "start"}
    layers = [event for event in spans if event["cat"] == "layer"]
    assert all(event["dur"] > 0 and event["args"]["kernel"] for event in layers)
    inferences = [event for event in spans if event["cat"] == "inference"]
    assert len(inferences) == 3
    for one in inferences:
        end = one["ts"] + one["dur"]
        inside = [e for e in layers if one["ts"] <= e["ts"] + 1e-6 and e["ts"] < end - 1e-6]
        assert sum(event["dur"] for event in inside) == pytest.approx(one["dur"])


def test_events_do_not_overlap() -> None:
    graph = tiny_graph()
    engine = Engine(graph, 1)
    x = np.zeros([1, *(int(d or 0) for d in graph.inputs[0].shape[1:])], np.float32)
    engine(x)
    layers = [event for event in trace_events(engine, x, 0, "title", runs=2) if event.get("cat") == "layer"]
    ends = [event["ts"] + event["dur"] for event in layers]
    assert all(end <= later["ts"] + 1e-6 for end, later in zip(ends, layers[1:], strict=False))
    assert {node.name for node in graph.nodes if node.op == "conv2d"} <= {event["name"] for event in layers}


@pytest.mark.parametrize(
    "words, message",
    [
        (["{model}", "--threads", "999"], "999 threads asked for"),
        (["{model}", "--size", "64"], "--size is for networks of the zoo"),
        (["nothing.safetensors"], "no such file"),
        (["nothing"], "unknown model 'nothing'"),
        (["{folder}"], "is a folder"),
        (["{model}", "--engines", "ort", "--layers"], "look into our engine"),
    ],
)
def test_bad_input_is_one_error(model: Path, words: list[str], message: str) -> None:
    given = [word.format(model=model, folder=model.parent) for word in words]
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(bench, [*given, "-q"], catch_exceptions=False)


def test_several_inputs_are_refused(tmp_path: Path) -> None:
    graph = Graph(
        "two",
        [TensorInfo("a", (None, 4)), TensorInfo("b", (None, 4))],
        ["y"],
        [Node("add", "add", ["a", "b"], ["y"])],
    )
    sparsenet.save(graph, tmp_path / "two.safetensors")
    with pytest.raises(InputError, match="several inputs"):
        open_model(str(tmp_path / "two.safetensors"))


def test_a_wrong_result_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ENGINES["dense"].prepare

    class Wrong(Session):
        def seconds(self, runs: int) -> list[float]:
            pytest.fail("it was timed")

    def wrong(network, threads):  # type: ignore[no-untyped-def]
        session = honest(network, threads)
        return Wrong(lambda x: [y + 1 for y in session.run(x)], session.close)

    monkeypatch.setitem(ENGINES, "dense", Entry("dense", wrong))
    with pytest.raises(SparsenetError, match="'dense' and 'ours' differ"):
        measure(tiny_graph(), None, Settings(("ours", "dense"), 1, 1, rounds=2, warmup=0), {})


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Session:
        raise EngineMissing("ort is not installed")

    monkeypatch.setitem(ENGINES, "ort", Entry("ort", missing))
    skipped: dict[str, str] = {}
    results = measure(tiny_graph(), 0.5, Settings(("ort", "ours"), 1, 1, rounds=2, warmup=0), skipped)
    assert [result.engine for result in results] == ["ours"]
    assert skipped == {"ort": "ort is not installed"}
    with pytest.raises(InputError, match="no engine is left"):
        measure(tiny_graph(), None, Settings(("ort",), 1, 1, rounds=2, warmup=0), {})


def test_thread_parity_is_enforced() -> None:
    with pytest.raises(InputError, match="measure nothing"):
        Settings(("ours",), 10_000, 1).check()


@pytest.mark.parametrize("kind", [Result, Layer, Rate])
def test_the_glossary_explains_every_field(kind: type) -> None:
    explained = set(re.findall(r"`(\w+)`", GLOSSARY))
    assert {field.name for field in dataclasses.fields(kind)} <= explained


def test_the_glossary_knows_the_table_and_the_record(model: Path) -> None:
    record = run(model, "--engines", "ours", *QUICK, "--json")
    assert set(record) <= set(re.findall(r"`(\w+)`", GLOSSARY))
