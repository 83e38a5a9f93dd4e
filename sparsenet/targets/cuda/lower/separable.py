"""A depthwise convolution and the 1x1 convolution that alone reads it, in one kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparsenet.graph import Graph, Shape
from sparsenet.graph.ops import OPS
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.lowering.weights import as_matrix, nonzeros
from sparsenet.targets.cuda.builder import Builder, Value
from sparsenet.targets.cuda.choice import Candidate
from sparsenet.targets.cuda.families import POINTWISE
from sparsenet.targets.cuda.lower.epilogues import epilogue_of
from sparsenet.targets.cuda.lower.windows import padded_input
from sparsenet.targets.cuda.pack import PACK
from sparsenet.targets.cuda.separable_tiles import SeparableTile


def separable_pairs(graph: Graph, shapes: Mapping[str, Shape]) -> dict[str, Convolution]:
    """Name of the 1x1 convolution → the depthwise one before it, wherever one kernel could compute both."""
    counts = graph.use_counts()
    convolutions = [Convolution.of(graph, shapes, node) for node in graph.nodes if OPS[node.op].weighted]
    depthwise = {
        conv.node.output: conv
        for conv in convolutions
        if conv.depthwise and len(conv.weight) == conv.groups and counts[conv.node.output] == 1
    }
    return {
        conv.node.name: depthwise[conv.x] for conv in convolutions if conv.x in depthwise and conv.pointwise
    }


def lower_fused(
    builder: Builder, depth: Convolution, conv: Convolution, out: Value, candidate: Candidate, reason: str
) -> None:
    """Append one launch for ``depth`` and ``conv``, whose result is ``out``."""
    tile = candidate.tile
    assert isinstance(tile, SeparableTile)
    x, channels, geometry = padded_input(builder, depth), depth.weight.shape[0], depth.geometry
    epilogue = epilogue_of(builder, depth.node, out)
    epilogue.ops += (POINTWISE,)
    epilogue.extend(epilogue_of(builder, conv.node, out))
    kernel = builder.kernel(
        f"separable_{candidate.format}_maps",
        (
            *geometry.kernel, *geometry.stride, *geometry.dilation,
            tile.rows, tile.vectors, tile.pixel_threads, tile.row_threads, tile.shared_floats(channels),
        ),
        epilogue.ops,
    )  # fmt: skip
    counts, joined = depth.counts(builder.once(nonzeros, depth.weight)), f"part of '{conv.node.name}'"
    builder.decide(depth.node, "dense", kernel, joined, **counts)
    matrix = builder.once(as_matrix, conv.weight)
    counts = conv.counts(builder.once(nonzeros, matrix))
    builder.decide(conv.node, candidate.format, kernel, reason, **counts)
    columns = _columns(channels, tile.pixels)
    packed = builder.once(PACK[candidate.format], matrix, columns, tile.rows, 1)
    builder.call(
        kernel,
        tile.blocks(out.maps.pitch, len(packed.channels), builder.options.processors),
        tile.threads,
        epilogue,
        x=x + (-geometry.before[0] * x.maps.line - geometry.before[1]),
        depth_values=builder.constant(depth.weight),
        depth_bias=builder.constant(depth.bias),
        depth_channels=channels,
        x_image=x.maps.image,
        x_line=x.maps.line,
        x_pitch=x.maps.pitch,
        **builder.row_groups(packed),
        bias=builder.constant(conv.bias),
        **out.maps.geometry(),
        out=out,
        pitch=out.maps.pitch,
    )


def _columns(channels: int, pixels: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where every channel of the depthwise result begins in shared memory."""
    return np.arange(channels, dtype=np.int64)[None] * pixels
