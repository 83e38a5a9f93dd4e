"""device="cuda" from end to end: whole networks, batches, open sizes, arrays on the device, errors."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import sparsenet
from sparsenet import Engine, Graph, Node, TensorInfo, reference
from sparsenet.errors import DeviceError, InputError
from sparsenet.targets.cuda.runtime.session import Session
from tests.full import chosen
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.sample_graphs import tiny_graph
from tests.sparsenet.targets.cuda.against_oracle import assert_gpu_matches, pruned
from tests.sparsenet.targets.cuda.simulator import ON_GPU

NO_GPU = "no NVIDIA GPU was found"


def small_mobilenet(zeros: float = 0.8) -> Graph:
    """A stem, two depthwise-separable blocks, one of stride 2, a residual, and a head; 12 x 12 images."""
    rng = np.random.default_rng(0)
    nodes: list[Node] = []
    constants: dict[str, np.ndarray] = {}

    def conv(
        name: str,
        x: str,
        shape: tuple[int, ...],
        *extra: str,
        words: tuple[str, ...] = ("relu",),
        **attrs: object,
    ) -> str:
        constants[f"{name}.w"] = pruned(shape, 0.0 if shape[1] == 1 else zeros, len(nodes))
        constants[f"{name}.b"] = rng.standard_normal(shape[0]).astype(np.float32)
        inputs = [x, f"{name}.w", f"{name}.b", *extra]
        epilogue = [[word] for word in words]
        nodes.append(Node("conv2d", name, inputs, [name], {**attrs, "epilogue": epilogue}))
        return name

    x = conv("stem", "x", (8, 3, 3, 3), stride=[2, 2], padding=[0, 0, 1, 1])
    y = conv("dw1", x, (8, 1, 3, 3), padding=[1] * 4, groups=8)
    x = conv("pw1", y, (8, 8, 1, 1), x, words=("add", "relu"))
    y = conv("dw2", x, (8, 1, 3, 3), padding=[1] * 4, groups=8, stride=[2, 2])
    conv("pw2", y, (12, 8, 1, 1))
    nodes += [
        Node("global_avg_pool2d", "pool", ["pw2"], ["pool"]),
        Node("flatten", "flat", ["pool"], ["flat"]),
        Node("linear", "fc", ["flat", "fc.w", "fc.b"], ["logits"]),
        Node("softmax", "softmax", ["logits"], ["y"]),
    ]
    constants |= {"fc.w": pruned((5, 12), zeros), "fc.b": np.zeros(5, np.float32)}
    return Graph("small", [TensorInfo("x", (None, 3, 12, 12))], ["y", "logits"], nodes, constants)


@pytest.mark.parametrize("zeros, batch", chosen([(0.0, 1)], [(0.0, 1), (0.8, 1), (0.95, 3)]))
def test_a_whole_network(zeros: float, batch: int) -> None:
    assert_gpu_matches(small_mobilenet(zeros), batch=batch)


def test_every_layer_matches_not_just_the_outputs() -> None:
    graph = small_mobilenet()
    graph.outputs = [node.output for node in graph.nodes]
    assert_gpu_matches(graph, batch=2)


def test_batches_change_and_plans_are_forgotten() -> None:
    graph = tiny_graph()
    engine = Engine(graph, device="cuda", sizes=2)
    for batch in (1, 2, 1, 3, 2, 0):
        feeds = random_feeds(graph, batch, seed=batch)
        want, got = reference.run(graph, feeds), engine.run(feeds)
        for name in want:
            np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=1e-6)
    engine.close()


def test_open_sizes() -> None:
    weight = {"w": pruned((2, 3, 3, 3), 0.4)}
    info = TensorInfo("x", (None, 3, 6, 6), open=(2, 3))
    graph = Graph(
        "open", [info], ["y"], [Node("conv2d", "c", ["x", "w"], ["y"], {"padding": [1] * 4})], weight
    )
    engine = Engine(graph, device="cuda")
    for size in ((6, 6), (5, 9)):
        feeds = {"x": np.random.default_rng(0).standard_normal((1, 3, *size)).astype(np.float32)}
        want = reference.run(graph.at_shapes({"x": (None, 3, *size)}), feeds)["y"]
        np.testing.assert_allclose(engine.run(feeds)["y"], want, rtol=1e-5, atol=1e-5)


def test_explain_and_profile_name_the_kernels() -> None:
    graph = small_mobilenet()
    engine = Engine(graph, device="cuda")
    assert engine.device == "cuda"
    decisions = {decision.layer: decision for decision in engine.explain()}
    assert set(decisions) == {node.name for node in graph.nodes}
    assert decisions["dw1"].kernel.startswith("f32_separable_csr_maps_relu_pointwise_add_relu__cuda_")
    assert "as fast as dense" in decisions["pw2"].reason
    profile = engine.profile(np.zeros((2, 3, 12, 12), np.float32), runs=1)
    assert {"stem", "pw1", "fc", "input", "output"} <= {layer.layer for layer in profile}
    assert sum(layer.share for layer in profile) == pytest.approx(1.0)


def test_kernels_are_chosen_by_measurement_on_request() -> None:
    graph = tiny_graph()
    engine = Engine(graph, device="cuda", tune=True)
    feeds = random_feeds(graph)
    for name, want in reference.run(graph, feeds).items():
        np.testing.assert_allclose(engine.run(feeds)[name], want, rtol=1e-5, atol=1e-6)
    feeds = random_feeds(graph, 2)  # a plan, and measurements, of its own
    for name, want in reference.run(graph, feeds).items():
        np.testing.assert_allclose(engine.run(feeds)[name], want, rtol=1e-5, atol=1e-6)
    reasons = [decision.reason for decision in engine.explain() if decision.nnz]
    assert len(reasons) == 2
    assert all("measured: sparse" in reason for reason in reasons)


def test_arrays_on_the_device_stay_there() -> None:
    from numba import cuda

    graph = tiny_graph()
    engine = Engine(graph, device="cuda")
    feeds = random_feeds(graph, 2)
    want = reference.run(graph, feeds)
    got = engine.run({"image": cuda.to_device(feeds["image"])})
    for name in want:
        assert not isinstance(got[name], np.ndarray)
        np.testing.assert_allclose(got[name].copy_to_host(), want[name], rtol=1e-5, atol=1e-6)


def test_wrong_inputs_are_refused_as_on_a_cpu() -> None:
    engine = Engine(tiny_graph(), device="cuda")
    with pytest.raises(InputError, match=r"must have shape \(N, 3, 8, 8\)"):
        engine.run({"image": np.zeros((1, 3, 8, 9), np.float32)})
    with pytest.raises(InputError, match="must be float32"):
        engine.run({"image": np.zeros((1, 3, 8, 8))})


def test_several_threads_share_one_engine() -> None:
    graph = tiny_graph()
    engine = Engine(graph, device="cuda")
    feeds = [random_feeds(graph, 1, seed) for seed in range(3)]
    got: dict[int, dict[str, np.ndarray]] = {}
    workers = [
        threading.Thread(target=lambda i=i: got.update({i: engine.run(feeds[i])})) for i in range(len(feeds))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for i, feed in enumerate(feeds):
        for name, want in reference.run(graph, feed).items():
            np.testing.assert_allclose(got[i][name], want, rtol=1e-5, atol=1e-6)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(InputError, match="device must be one of cpu, cuda, auto"):
        Engine(tiny_graph(), device="tpu")  # type: ignore[arg-type]


@pytest.mark.skipif(ON_GPU, reason="there is a GPU")
def test_auto_does_not_take_the_simulator_for_a_gpu() -> None:
    assert Engine(tiny_graph(), threads=1, device="auto").device == "cpu"


@pytest.mark.skipif(ON_GPU, reason="there is a GPU")
def test_without_a_gpu_there_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    sparsenet.save(tiny_graph(), tmp_path / "tiny.safetensors")
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    command = [
        sys.executable,
        "-m",
        "sparsenet",
        "run",
        str(tmp_path / "tiny.safetensors"),
        "--random",
        "--device",
    ]
    result = subprocess.run([*command, "cuda"], env=environment, capture_output=True, text=True)
    if result.returncode == 0:
        pytest.skip("there is a GPU")
    assert result.returncode == 2
    assert NO_GPU in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    on_cpu = subprocess.run([*command, "auto"], env=environment, capture_output=True, text=True)
    assert on_cpu.returncode == 0, on_cpu.stderr


def test_a_run_amid_a_run_of_the_same_thread_says_that_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a signal handler: its data would take the place of what the first has on the device."""
    engine = Engine(tiny_graph(), device="cuda")
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    want = engine(x)
    run, refused = Session.run, []

    def amid(session: Session, arrays: list[np.ndarray]) -> list[np.ndarray]:
        monkeypatch.setattr(Session, "run", run)
        with pytest.raises(DeviceError, match="the very run that this signal handler has interrupted"):
            engine(x + 1)
        refused.append(True)
        return session.run(arrays)

    monkeypatch.setattr(Session, "run", amid)
    for got, right in zip(engine(x), want, strict=True):
        np.testing.assert_array_equal(got, right)
    assert refused == [True]


def test_what_an_exception_leaves_on_the_device_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(tiny_graph(), device="cuda")
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    want = engine(x)
    run, left = Session.run, []

    def interrupted(session: Session, arrays: list[np.ndarray]) -> list[np.ndarray]:
        left.append(session)
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine(x)
    monkeypatch.setattr(Session, "run", lambda session, arrays: left.append(session) or run(session, arrays))
    for got, right in zip(engine(x), want, strict=True):
        np.testing.assert_array_equal(got, right)
    assert left[0] is not left[1]
