"""A depthwise convolution and the 1x1 convolution that alone reads it, in one kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet.graph import Graph, Node
from sparsenet.graph.ops import attributes
from sparsenet.targets.cuda.builder import Builder, Value
from sparsenet.targets.cuda.choice import Candidate
from sparsenet.targets.cuda.families import POINTWISE
from sparsenet.targets.cuda.lower.epilogues import epilogue_of
from sparsenet.targets.cuda.lower.windows import Convolution
from sparsenet.targets.cuda.pack import PACK
from sparsenet.targets.cuda.separable_tiles import SeparableTile
from sparsenet.targets.registry import Kernel


def separable_pairs(graph: Graph) -> dict[str, Node]:
    """Name of the 1x1 convolution → the depthwise one before it, wherever one kernel could compute both."""
    counts = graph.use_counts()
    depthwise = {
        node.output: node for node in graph.nodes if _is_depthwise(graph, node) and counts[node.output] == 1
    }
    return {
        node.name: depthwise[node.inputs[0]]
        for node in graph.nodes
        if node.op == "conv2d" and node.inputs[0] in depthwise and _is_pointwise(graph, node)
    }


def _is_depthwise(graph: Graph, node: Node) -> bool:
    if node.op != "conv2d":
        return False
    outputs, per_group = graph.constants[node.inputs[1]].shape[:2]
    return per_group == 1 and bool(attributes(node)["groups"] == outputs > 1)


def _is_pointwise(graph: Graph, node: Node) -> bool:
    attrs = attributes(node)
    return (
        graph.constants[node.inputs[1]].shape[2:] == (1, 1)
        and attrs["groups"] == 1
        and list(attrs["stride"]) == [1, 1]
        and not any(attrs["padding"])
    )


def lower_fused(
    builder: Builder, depth: Convolution, conv: Convolution, out: Value, candidate: Candidate, reason: str
) -> None:
    """One launch for ``depth`` and ``conv``, whose result is ``out``."""
    tile = candidate.tile
    assert isinstance(tile, SeparableTile)
    x, channels = depth.padded_input(builder), depth.weight.shape[0]
    epilogue = epilogue_of(builder, depth.node, out)
    epilogue.words.append(POINTWISE)
    epilogue = epilogue_of(builder, conv.node, out, epilogue)
    kernel = Kernel(
        f"f32_separable_{candidate.format}_maps",
        1,
        (
            *depth.weight.shape[2:], *depth.stride, *depth.dilation,
            tile.rows, tile.vectors, tile.pixel_threads, tile.row_threads, tile.shared_floats(channels),
        ),
        tuple(epilogue.words),
    )  # fmt: skip
    builder.decide(depth.node, "dense", kernel, f"part of '{conv.node.name}'", **depth.counts(out))
    builder.decide(conv.node, candidate.format, kernel, reason, **conv.counts(out))
    packed = PACK[candidate.format](conv.matrix, _columns(channels, tile.pixels), tile.rows, 1)
    builder.call(
        kernel,
        tile.blocks(out.maps.pitch, len(packed.channels), builder.options.processors),
        tile.threads,
        epilogue,
        x=x + (-depth.padding[0] * x.maps.line - depth.padding[1]),
        depth_values=builder.weights.add(depth.weight),
        depth_bias=builder.weights.add(depth.bias),
        depth_channels=channels,
        x_image=x.maps.image,
        x_line=x.maps.line,
        x_pitch=x.maps.pitch,
        **builder.add_groups(packed),
        bias=builder.weights.add(conv.bias),
        **out.maps.geometry(),
        out=out,
        pitch=out.maps.pitch,
    )


def _columns(channels: int, pixels: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where every channel of the depthwise result begins in shared memory."""
    return np.arange(channels, dtype=np.int64)[None] * pixels
