"""A plan as typed calls: nothing is lost on the way there and back."""

from __future__ import annotations

import ctypes
import functools
import json

import numpy as np
import pytest

from bench.subjects.networks import build_graph
from bench.subjects.sparsity import sparsify
from sparsenet import Graph, TensorInfo, reference
from sparsenet.plan import listing
from sparsenet.plan.assemble import encode_tape
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan
from sparsenet.plan.plan import Plan
from sparsenet.plan.ref import Ref
from sparsenet.plan.rings import Ring, arena_end
from sparsenet.targets.abi import ARENA, FIRST_TENSOR, WEIGHTS, encode_pointer
from sparsenet.targets.cpu.runtime.jit import cpu_features
from sparsenet.targets.cpu.runtime.ring_memory import Arena
from sparsenet.targets.target import NEON, TARGETS
from sparsenet.text.table import to_json
from tests.full import chosen, crossed, spread
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.plan.test_schedule import network
from tests.sparsenet.sample_graphs import minixception


def mobilenet() -> Graph:
    graph = sparsify(build_graph("mobilenetv1"), 0.8)
    graph.inputs[0] = TensorInfo(graph.inputs[0].name, (None, 3, 64, 64))
    return graph


NETWORKS = {"minixception": minixception, "mobilenetv1": mobilenet, "network": network}
NAMES = chosen(["minixception", "network"], NETWORKS)


@functools.cache
def graph_of(name: str) -> Graph:
    """Made when the first test asks for it: collecting the tests needs none."""
    return NETWORKS[name]()


HERE = [known for known in TARGETS.values() if known.features <= cpu_features()]


@pytest.mark.parametrize("target, threads, name", crossed(list(TARGETS), [1, 2], NAMES))
def test_encoded_again_it_is_the_same_tape(name: str, threads: int, target: str) -> None:
    plan = make_plan(graph_of(name), Options(threads=threads, target=TARGETS[target]))

    def place(ref: Ref) -> int:
        firsts = {"weights": WEIGHTS, "arena": ARENA, "input": FIRST_TENSOR}
        base = firsts.get(ref.space, FIRST_TENSOR + len(plan.inputs)) + ref.index
        return encode_pointer(base, ref.offset)

    found = listing.sections(plan)
    sizes = {"weights": plan.weights.nbytes, "arena": arena_end(plan.arena_bytes, plan.rings)}
    for call in (call for section in found for calls in (*section.shares, section.alone) for call in calls):
        for value in call.arguments.values():
            assert not isinstance(value, Ref) or 0 <= value.offset < sizes.get(value.space, 2**31)
    parts = [[section.shares[thread] for section in found] for thread in range(threads)]
    parts += [[section.alone for section in found]] * (threads > 1)
    for tape, calls in zip(plan.tapes, parts, strict=True):
        again = encode_tape([call for part in calls for call in part], place)
        np.testing.assert_array_equal(again, tape)


def run_from_json(plan: Plan, text: str, feeds: list[np.ndarray]) -> list[np.ndarray]:
    """Outputs of one image, each kernel called by itself as ``text`` says."""
    told, addresses = json.loads(text), {kernel.name: kernel.address() for kernel in plan.used_kernels}
    rings = [Ring(**ring) for ring in told["rings"]]
    arena = Arena(told["arena_bytes"] + 64, rings)
    outputs = [np.zeros([size or 1 for size in info["shape"]], np.float32) for info in told["outputs"]]
    starts = {("weights", 0): plan.weights.ctypes.data, ("arena", 0): arena.address}
    for space, arrays in (("input", feeds), ("output", outputs)):
        starts |= {(space, number): array.ctypes.data for number, array in enumerate(arrays)}
    bases = np.array(list(starts.values()), np.int64)
    numbers = {place: number for number, place in enumerate(starts)}
    for section in told["sections"]:
        for call in section["alone"] or [call for share in section["shares"] for call in share]:
            row = np.zeros(64, np.int64)
            for word, argument in enumerate(call["arguments"]):
                if argument["kind"] == "pointer":
                    base = numbers[argument["space"], argument["index"]]
                    row[word] = encode_pointer(base, argument["offset"])
                elif argument["kind"] == "number":
                    row[word] = np.float32(float.fromhex(argument["value"])).view(np.int32)
                else:
                    row[word] = argument["value"]
            kernel = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(addresses[call["kernel"]])
            kernel(row.ctypes.data, bases.ctypes.data)
    return outputs


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", chosen(["network"], NETWORKS))
def test_calls_told_as_json_compute_the_network(name: str, threads: int) -> None:
    """Plans for targets that this machine can run, a third or all of them, made and run in one process."""
    graph = graph_of(name)
    feeds = random_feeds(graph)
    expected = reference.run(graph, feeds)
    for known in spread(HERE):
        plan = make_plan(graph, Options(threads=threads, target=known))
        outputs = run_from_json(plan, to_json(listing.as_records(plan)), list(feeds.values()))
        for info, got in zip(plan.outputs, outputs, strict=True):
            error = np.abs(got - expected[info.name]).max() / np.abs(expected[info.name]).max()
            assert error < 3e-6, f"{known.name}: {info.name}: {error:.2e}"


def test_the_text_has_every_call_and_names_every_argument() -> None:
    plan = make_plan(network(), Options(threads=2, target=NEON))
    lines = listing.as_text(plan).splitlines()
    calls = [line for line in lines if line.startswith("  ")]
    assert len(calls) == sum(map(len, plan.tapes))
    assert lines[0] == "input[0] = x Nx3x40x40"
    assert any("section 0, one alone:" in line for line in lines) == bool(plan.ends[0][2])
    first = plan.kernels[0][0]
    assert calls[0].startswith(f"  {first.name}({first.arguments[0]}=")
    assert all(f"{name}=" in calls[0] for name in first.arguments)
    assert all("__cpu_v4" in call for call in calls)
