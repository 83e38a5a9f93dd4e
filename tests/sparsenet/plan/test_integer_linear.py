"""Fully connected layers in integers, dense and sparse: the oracle's results to the bit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from sparsenet import Graph, Node, TensorInfo
from sparsenet.plan.builder import Options
from sparsenet.targets.cpu.lower.pack_picks import picks
from sparsenet.targets.target import Target
from tests.full import chosen
from tests.sparsenet.plan.test_integer import HOSTS, assert_exact, convolutions, formats, planned
from tests.sparsenet.quantized import quantized


def layers(c_in: int, *sizes: tuple[int, float], add: bool = False) -> Graph:
    """A chain of fully connected layers, ``sizes``: outputs and density in blocks of four inputs; the last adds x."""
    rng, graph, x = np.random.default_rng(0), Graph("layers", [TensorInfo("x", (None, c_in))], [], []), "x"
    for number, (c_out, density) in enumerate(sizes):
        name = f"l{number}"
        kept = np.repeat(rng.random((c_out, -(-c_in // 4))) < density, 4, axis=1)[:, :c_in]
        weight = rng.standard_normal((c_out, c_in)) / np.sqrt(max(1, kept[0].sum())) * kept
        graph.constants[f"{name}.w"] = weight.astype(np.float32)
        graph.constants[f"{name}.b"] = (0.3 * rng.standard_normal(c_out)).astype(np.float32)
        last = add and number == len(sizes) - 1
        attrs: dict[str, Any] = {"epilogue": [["add"], ["leaky_relu", 0.3]] if last else [["relu"]]}
        inputs = [x, f"{name}.w", f"{name}.b", *(["x"] if last else [])]
        graph.nodes.append(Node("linear", name, inputs, [name], attrs))
        x, c_in = name, c_out
    graph.outputs = [x]
    graph.verify()
    return quantized(graph)


@pytest.mark.parametrize("threads", [1, 2])
def test_dense_and_sparse(threads: int) -> None:
    """Inputs that fill no quad, outputs that fill no vector, groups of rows without a weight."""
    graph = layers(70, (150, 1.0), (37, 0.2), (70, 0.01), add=True)
    engine = assert_exact(graph, Options(threads=threads))
    assert formats(engine) == ["int8 dense", "int8 csr", "int8 csr"]
    assert_exact(layers(9, (3, 1.0)), Options(threads=threads))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_result_without_a_grid_is_float32(threads: int) -> None:
    """Logits are not rounded to bytes; what they are made of still is integers."""
    for density in (1.0, 0.2):
        graph = layers(70, (40, 1.0), (37, density))
        graph.nodes[-1].attrs["epilogue"] = []
        del graph.quantization["l1"]
        engine = assert_exact(graph, Options(threads=threads))
        assert formats(engine) == ["int8 dense", "int8 dense" if density == 1 else "int8 csr"]
        graph.nodes[-1].attrs["epilogue"] = [["relu"]]
        assert formats(planned(graph, Options()))[-1] == ("dense" if density == 1 else "csr")


@pytest.mark.parametrize("target", chosen(HOSTS[-1:], HOSTS), ids=lambda target: target.name)
def test_other_instruction_sets(target: Target) -> None:
    assert_exact(layers(37, (33, 1.0), (37, 0.2), (37, 1.0), add=True), Options(target=target))


def test_a_window_over_the_whole_map() -> None:
    """What of it lies in the padding drops out, of the bias too."""
    layer = {"kernel": 5, "padding": [1, 1, 1, 1], "out": 18, "density": 0.7}
    engine = assert_exact(quantized(convolutions((3, 3), 6, layer)))
    assert "u8_linear" in str(engine.explain())


@pytest.mark.parametrize("lanes", [4, 16])
def test_every_row_picks_its_quads_in_order(lanes: int) -> None:
    rng = np.random.default_rng(lanes)
    for shape, density in (((21, 50), 0.3), ((5, 3), 0.5), ((33, 40), 0.0), ((16, 90), 1.0)):
        matrix = rng.integers(1, 2**31, shape).astype(np.int32) * (rng.random(shape) < density)
        packed = picks(matrix.astype(np.int32), lanes)
        steps, back = packed.group_offsets, np.zeros((len(packed.group_offsets[1:]) * lanes, shape[1]), int)
        assert not (steps % 2).any()
        for group, (first, end) in enumerate(pairwise(steps)):
            for step in range(first, end):
                columns = packed.windows[step] // 4 + packed.places[step].astype(int)
                lane = np.flatnonzero(packed.weights[step])
                back[group * lanes + lane, columns[lane]] += packed.weights[step, lane]
        np.testing.assert_array_equal(back[: shape[0]], matrix)
        assert packed.places.max(initial=0) < lanes
        assert packed.windows.max(initial=0) <= 4 * max(0, shape[1] - lanes)


def test_sliding_windows_leave_few_lanes_idle() -> None:
    """Rows that wait for nobody fill the steps: with a tenth of the quads, over half of every step."""
    rng = np.random.default_rng(1)
    matrix = (rng.random((64, 256)) < 0.1).astype(np.int32)
    packed = picks(matrix, 16)
    assert np.count_nonzero(packed.weights) == np.count_nonzero(matrix)
    assert np.count_nonzero(packed.weights) > 0.5 * packed.weights.size
