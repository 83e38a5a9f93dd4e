"""An activation joins the epilogue of the op before it."""

from __future__ import annotations

import math
from typing import Any

from converters.passes.rewiring import Rewiring, may_merge
from sparsenet.graph import Graph, Node
from sparsenet.graph.clamped_line import bend_of, bounds_of
from sparsenet.graph.ops import ACTIVATIONS, OPS, as_step


def fuse_activation(graph: Graph) -> Graph:
    """Append every activation to the epilogue of its producer, if that may carry one and has no other reader.

    Exact: an epilogue runs its steps in order on the finished result, just as the separate node would. Two limits in
    a row become one, also of two nodes of their own; limits in front of a ``leaky_relu`` go behind it. A limit to what
    a grid holds is left out behind a function whose results that grid rounds. A function that does more than limit
    numbers stays a node of its own behind a tensor that is quantized: in integers it is a table, and what makes the
    tensor could not be computed in integers with it.
    """
    wiring = Rewiring(graph)
    for node in wiring.nodes(*ACTIVATIONS):
        producer = wiring.producer(node.inputs[0])
        steps = [as_step(node)]
        bounds = bounds_of(steps[0])
        if producer is None or wiring.only_reader(producer.output) is not node:
            continue
        before = _last_bounds(producer)
        if bounds is not None and before is not None and producer.op in ACTIVATIONS:
            if producer.output not in wiring.quantization:
                producer.op, *numbers = _limit(before, bounds)[0]
                producer.attrs = dict(zip(("min", "max"), numbers, strict=False))
                wiring.merge(producer, node, [], [])
            continue
        if producer.op in ACTIVATIONS and bounds is not None and bounds == _ends(wiring, node.output):
            if producer.output not in wiring.quantization:
                wiring.merge(producer, node, [], [])
            continue
        if (
            (bounds is None and node.inputs[0] in wiring.quantization)
            or not OPS[producer.op].epilogue
            or not may_merge(producer, node, steps)
        ):
            continue
        if bounds is not None and before is not None:
            producer.attrs["epilogue"] = producer.epilogue[:-1]
            steps = _limit(before, bounds)
        elif before is not None and (bend := bend_of(steps[0])) is not None:
            producer.attrs["epilogue"] = producer.epilogue[:-1]
            steps += [_as_limit(*(bound * bend if bound < 0 else bound for bound in before))]
        wiring.merge(producer, node, steps, [])
    return wiring.done()


def _ends(wiring: Rewiring, tensor: str) -> tuple[float, float] | None:
    """The least and the largest number of a tensor's grid."""
    grid = wiring.quantization.get(tensor)
    if grid is None:
        return None
    least, most = (float(number) for number in grid.numbers(grid.range))
    return least, most


def _last_bounds(node: Node) -> tuple[float, float] | None:
    """The limits to which a node's last step keeps its result, if it does that and no more."""
    if node.op in ACTIVATIONS:
        return bounds_of(as_step(node))
    return bounds_of(node.epilogue[-1]) if node.epilogue else None


def _limit(first: tuple[float, float], second: tuple[float, float]) -> list[list[Any]]:
    """One fused op that limits numbers as two in a row do."""
    least, most = (min(max(bound, second[0]), second[1]) for bound in first)
    return [_as_limit(least, most)]


def _as_limit(least: float, most: float) -> list[Any]:
    return ["relu"] if (least, most) == (0.0, math.inf) else ["clip", least, most]
