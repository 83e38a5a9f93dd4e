"""Whole networks as C, in float32 and in integers, give what the reference gives."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from converters import from_torch, quantize
from sparsenet import Graph, Node, reference
from sparsenet.detection.priors import CENTRE_VARIANCE, SIZE_VARIANCE, prior_boxes
from sparsenet.graph.integer import integer_nodes
from tests.converters.architectures import ARCHITECTURES, build
from tests.full import chosen
from tests.sparsenet.targets.c99.compiled import Compiled, assert_same, needs_compiler
from training.zoo import build_module, calibrate

SIDE = 64


def of_zoo(name: str, side: int, sparsity: float = 0.8) -> Graph:
    """A network of the zoo with random zeros."""
    module = build_module(name)
    calibrate(module, side)
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear) and part.weight.shape[1] > 1:
            with torch.no_grad():
                part.weight *= torch.rand(part.weight.shape, generator=generator) >= sparsity
    return from_torch(module, torch.zeros(1, 3, side, side), name=name)


def retinaface() -> Graph:
    """RetinaFace with boxes decoded and, by their scores, chosen: rows of corners and score, and how many there are."""
    graph = of_zoo("retinaface-mobilenet0.25", SIDE)
    offsets, logits, _ = graph.outputs
    priors = prior_boxes(SIDE, SIDE).astype(np.float32)[None]

    def constant(array: Any) -> str:
        graph.constants[name := f"known{len(graph.constants)}"] = np.asarray(array, np.float32)
        return name

    def node(op: str, *inputs: str, **attrs: Any) -> str:
        graph.nodes.append(Node(op, name := f"choice{len(graph.nodes)}", list(inputs), [name], attrs))
        return name

    moved, grown = (node("slice", offsets, axis=2, start=first, count=2, step=1) for first in (0, 2))
    centre = node(
        "add", node("mul", moved, constant(CENTRE_VARIANCE * priors[..., 2:])), constant(priors[..., :2])
    )
    grown = node("exp", node("mul", grown, constant([[[SIZE_VARIANCE]]])))
    half = node("mul", grown, constant(priors[..., 2:] / 2))
    boxes = node("concat", node("sub", centre, half), node("add", centre, half), axis=2)
    scores = node("slice", node("softmax", logits, axis=2), axis=2, start=1, count=1, step=1)
    kept = node(
        "nms", node("reshape", boxes, shape=[1, -1, 4]), node("reshape", scores, shape=[1, 1, -1]),
        count=50, iou_threshold=0.4, score_threshold=0.5,
    )  # fmt: skip
    box = node("slice", kept, axis=2, start=2, count=1, step=1)
    found = node("reduce", node("greater", box, constant([[[-0.5]]])), kind="sum", axes=[1, 2])
    rows = node("concat", *(node("gather_nd", picked, box) for picked in (boxes, scores)), axis=2)
    graph.outputs = [node("first", rows, node("reshape", found, shape=[1]), axis=1)]
    graph.verify()
    return graph


def architecture(name: str) -> Graph:
    module, shape = build(name, 0.8)
    return from_torch(module, torch.zeros(1, *shape), name=name)


NETWORKS: dict[str, Callable[[], Graph]] = {
    "retinaface": retinaface,
    "maskcnn": lambda: of_zoo("maskcnn", 150),
    "minixception-128-256": lambda: of_zoo("minixception-128-256", SIDE),
    "mobilenetv1": lambda: of_zoo("mobilenetv1", SIDE, 0.97),
    "xception": lambda: of_zoo("xception", 71, 0.97),
    "resnet50": lambda: of_zoo("resnet50", SIDE, 0.97),
    **{name: lambda name=name: architecture(name) for name in ARCHITECTURES},  # type: ignore[misc]
}


@needs_compiler
@pytest.mark.parametrize(
    "name, in_integers", chosen([("retinaface", False)], product(NETWORKS, (False, True)))
)
def test_as_the_reference(name: str, in_integers: bool, tmp_path: Path) -> None:
    graph, rng = NETWORKS[name](), np.random.default_rng(3)
    shape = tuple(int(d or 1) for d in graph.inputs[0].shape[1:])
    x = rng.standard_normal((1, *shape), np.float32)
    if in_integers:
        graph = quantize(graph, rng.standard_normal((4, *shape), np.float32), threads=1)
        assert integer_nodes(graph, graph.shapes())
    expected = reference.run(graph, {graph.inputs[0].name: x})
    network = Compiled(graph, tmp_path, "-O2", target="cortex-m")
    # Where float32 numbers are rounded to bytes, sums in another order may give the next ones.
    tolerance = 0.02 if network.exported.plan.is_mixed else 1e-4
    context, count = network.context(), len(graph.outputs)
    found = context.run(x[0])
    for output, result in zip(graph.outputs, found[:count], strict=True):
        assert_same(result[: expected[output].shape[1]], expected[output][0], tolerance)
    for (valid,), output in zip(found[count:], graph.outputs, strict=False):
        assert 0 < valid == expected[output].shape[1]
    for whole, pushed in zip(found, context.push(x[0]), strict=True):
        np.testing.assert_array_equal(whole, pushed)
