"""Nearest and bilinear resizing."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.resize import resize_tables
from sparsenet.targets.cuda.builder import Argument, Builder


def lower_resize(builder: Builder, node: Node) -> None:
    """Lower nearest or bilinear resizing, by tables of source rows and columns."""
    x, out = builder.get(node.inputs[0]), builder.new_maps(node.output)
    have, wanted = (x.maps.height, x.maps.width), (out.maps.height, out.maps.width)
    tables: dict[str, Argument] = {}
    for name, axis in zip(("rows", "columns"), resize_tables(node, have, wanted), strict=True):
        tables[f"{name}_low"] = builder.constant(axis.low)
        tables[f"{name}_high"] = builder.constant(axis.high)
        tables[f"{name}_weight"] = builder.constant(axis.weight)
    kernel = builder.kernel("resize_none_maps")
    builder.over_output(
        kernel, out, x=x, x_line=x.maps.line, x_image=x.maps.image, x_pitch=x.maps.pitch, **tables
    )
    builder.decide(node, "none", kernel, attributes(node)["mode"])


LOWER = {"resize": lower_resize}
