"""What is only moved has one grid before and behind: tensors that meet in a concatenation are rounded to its grid."""

from __future__ import annotations

import numpy as np

from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph, Node, Quantization
from sparsenet.graph.clamped_line import ClampedLine
from sparsenet.graph.integer import only_chooses
from sparsenet.graph.ops import OPS, epilogue_fits
from sparsenet.graph.ops.table import value_inputs
from sparsenet.graph.types import U8

#: Kinds of integer nodes whose results are rounded by themselves, to any grid.
_ROUNDS = ("product", "sum", "factors", "mean", "table")


def common_grids(graph: Graph) -> Graph:
    """Give the inputs of ops that only move numbers the grid of their results.

    Quantizers give each tensor a grid of its own, and a concatenation of several in integers needs one. A tensor that
    nobody else reads is rounded to the grid of the result at once, instead of twice; one that others read, too, is
    rounded anew for this reader, by a table of 256 bytes.
    """
    if not graph.quantization:
        return graph
    wiring, made = Rewiring(graph), dict[tuple[str, float, int], str]()
    for node in reversed(wiring.nodes()):
        grid = wiring.quantization.get(node.output)
        if grid is None or grid.element is not U8 or not only_chooses(node):
            continue
        for name in dict.fromkeys(name for name in value_inputs(node) if name):
            own = wiring.quantization.get(name)
            if own is None or own.element is not U8 or own.same_grid(grid):
                continue
            if _rounded_at_once(wiring, name, own):
                wiring.quantization[name] = grid
            else:
                key = name, float(grid.scale), grid.zero_point
                again = made.setdefault(key, wiring.unused_name(f"{name}.again"))
                _round_again(wiring, node, name, again, own, grid)
    return wiring.done()


def _rounded_at_once(wiring: Rewiring, name: str, grid: Quantization) -> bool:
    """Whether a tensor's node may round to another grid; it then limits its result as the present one does."""
    maker = wiring.producer(name)
    if maker is None or name in wiring.outputs or wiring.only_reader(name) is None:
        return False
    kind = OPS[maker.op].integer
    if kind == "choice":
        return only_chooses(maker)  # its own inputs follow: nodes are visited from the last to the first
    if kind not in _ROUNDS:
        return False
    low, high = _ends(grid)
    line = ClampedLine.of(maker, wiring.constants)
    inside = line is not None and (line.low >= low).all() and (line.high <= high).all()
    if OPS[maker.op].epilogue and not inside:
        steps = [*maker.epilogue, ["clip", low, high]]
        if line is None or not epilogue_fits(steps):
            return False
        maker.attrs["epilogue"] = steps
    return True


def _round_again(
    wiring: Rewiring, reader: Node, name: str, again: str, own: Quantization, grid: Quantization
) -> None:
    table = wiring.producer(again)
    if table is None:
        low, high = _ends(own)
        table = Node("clip", again, [name], [again], {"min": low, "max": high})
        wiring.quantization[again] = grid
    else:
        wiring.remove(
            table
        )  # readers are visited from the last to the first, and it stands before all of them
    wiring.insert_before(reader, table)
    wiring.read(reader, [again if tensor == name else tensor for tensor in reader.inputs])


def _ends(grid: Quantization) -> tuple[float, float]:
    """The numbers that the least and the largest byte stand for."""
    low, high = (float(np.float32(end)) for end in grid.numbers([0, 255]))
    return low, high
