"""Resizing."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.resize import resize_tables
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.errors import NoKernelError
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.stage import Read
from sparsenet.targets.c99.value import Value
from sparsenet.targets.c99.weights import MOST_PLACE


def lower(builder: Builder, node: Node) -> None:
    """Nearest or bilinear."""
    x, out = builder.any(node.inputs[0]), builder.new(node.output)
    kernel = resize(builder, node, x, out, f"f32_{attributes(node)['mode']}_none_rows")
    builder.choose(node, "none", kernel)


def resize(builder: Builder, node: Node, x: Value, out: Value, family: str) -> Kernel:
    """Add the stage: row by row; of each row of the result a table tells the rows that it is made of."""
    rows, columns = resize_tables(node, x.shape[1:], out.shape[1:])
    if max(x.shape[1:]) > MOST_PLACE:
        raise NoKernelError(f"it resizes a map of {x.height} x {x.width}, the most are {MOST_PLACE} each")
    known: dict[str, Word] = {
        "left": builder.constant(columns.low.astype(np.uint16)),
        "channels": out.shape[0],
        "width": out.width,
        "x_channel": x.channel,
        "out_channel": out.channel,
    }
    bilinear = attributes(node)["mode"] == "bilinear"
    if bilinear:
        known |= {
            "right": builder.constant(columns.high.astype(np.uint16)),
            "across": builder.constant(columns.weight),
            "down": builder.constant(rows.weight),
        }
    needed = np.stack([rows.low, rows.high] if bilinear else [rows.low], axis=1).astype(np.uint16)
    kernel = Kernel(family)
    builder.add(out, kernel, [Read(x, rows=needed.shape[1], table=builder.constant(needed))], known)
    return kernel


LOWER = {"resize": lower}
