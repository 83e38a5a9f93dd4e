"""The order of channels in which a quantized network is written: that in which integer kernels skip most."""

from __future__ import annotations

from converters.passes.permute_channels import QuadCount, permuted
from sparsenet.graph import Graph

#: Metadata that says that channels inside are in another order than the source's.
METADATA = "channel order"


def ordered_for_quads(graph: Graph) -> tuple[Graph, QuadCount]:
    """``permute_channels``, noted in the metadata if anything has moved, and the quads before and after."""
    moved, count = permuted(graph)
    if not count.layers:
        return graph, count
    moved.metadata[METADATA] = f"the source's, moved so that nonzero weights meet: {quads_text(count)}"
    return moved, count


def quads_text(count: QuadCount) -> str:
    """What the order brings, for people."""
    fewer = 1 - count.after / count.before
    return f"{count.after:,} quads of weights to multiply by, {fewer:.1%} fewer, in {count.layers} layers"
