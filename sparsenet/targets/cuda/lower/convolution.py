"""Convolutions and fully connected layers: rows of a sparse or dense matrix over pixels in place."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import Node
from sparsenet.targets.cuda.builder import Builder, NoKernelError, Value
from sparsenet.targets.cuda.choice import Candidate, choose, conv_candidates
from sparsenet.targets.cuda.lower.depthwise import lower_depthwise
from sparsenet.targets.cuda.lower.epilogues import epilogue_of
from sparsenet.targets.cuda.lower.separable import lower_fused
from sparsenet.targets.cuda.lower.windows import Convolution
from sparsenet.targets.cuda.pack import PACK
from sparsenet.targets.cuda.separable_tiles import Depthwise
from sparsenet.targets.registry import Kernel


def lower_convolution(builder: Builder, node: Node) -> None:
    """Choose how to compute ``node``, together with the depthwise convolution that waits for it, if any."""
    conv = Convolution.of(builder, node)
    before = builder.pairs.get(node.name)
    if any(node is waiting for waiting in builder.pairs.values()):
        return
    if conv.depthwise:
        lower_depthwise(builder, conv)
    elif before is None:
        _lower_matrix(builder, conv)
    else:
        _lower_pair(builder, Convolution.of(builder, before), conv)


def _lower_matrix(builder: Builder, conv: Convolution) -> None:
    x, out = conv.padded_input(builder), builder.new(conv.node.output)
    aligned = not (conv.tap_offsets(x.maps) % 4).any()
    in_place = conv.stride == (1, 1) and x.maps.lies_like(out.maps) and aligned
    size = (out.maps.pitch, *conv.matrix.shape)
    candidates = conv_candidates(size, conv.density, in_place, builder.options)
    candidate, reason = choose(builder.options, conv.node.name, candidates, conv.density)
    _call(builder, conv, x, out, candidate, reason)


def _lower_pair(builder: Builder, depth: Convolution, conv: Convolution) -> None:
    out, (channels, taps) = builder.new(conv.node.output), depth.matrix.shape
    size = (out.maps.pitch, *conv.matrix.shape)
    # What a 1x1 convolution reads lies like what it writes.
    candidates = conv_candidates(size, conv.density, True, builder.options, Depthwise(channels, taps))
    names = conv.node.name, depth.node.name
    candidate, reason = choose(builder.options, names[0], candidates, conv.density, names[1])
    if candidate.fused:
        lower_fused(builder, depth, conv, out, candidate, reason)
        return
    builder.layer = names[1]
    lower_depthwise(builder, depth)
    builder.layer = names[0]
    _call(builder, conv, builder.get(conv.x), out, candidate, reason)


def _call(
    builder: Builder, conv: Convolution, x: Value, out: Value, candidate: Candidate, reason: str
) -> None:
    epilogue = epilogue_of(builder, conv.node, out)
    offsets, tile = conv.tap_offsets(x.maps), candidate.tile
    if offsets.max(initial=0) > np.iinfo(np.int32).max:
        raise NoKernelError(f"its input has {x.size} numbers, more than 32 bits can count")
    packed = PACK[candidate.format](conv.matrix, offsets, tile.rows, conv.groups)
    family = f"f32_conv_{candidate.format}_maps"
    kernel = Kernel(family, tile.lanes, tile.parameters, tuple(epilogue.words))
    builder.decide(conv.node, candidate.format, kernel, reason, **conv.counts(out))
    if tile.lanes > 1:
        # Threads behind the last pixel read as far beyond the last channel as their taps reach.
        reach = int(offsets.max(initial=0)) - (x.maps.channels - 1) * x.maps.pitch
        builder.overread = max(builder.overread, tile.pixels + max(reach, 0))
    builder.call(
        kernel,
        tile.blocks(out.maps.pitch, len(packed.channels), builder.options.processors),
        tile.threads,
        epilogue,
        x=x,
        **builder.add_groups(packed),
        bias=builder.weights.add(conv.bias),
        x_image=x.maps.image,
        x_row=conv.stride[0] * x.maps.line,
        x_column=conv.stride[1],
        **out.maps.geometry(),
        out=out,
        pitch=out.maps.pitch,
    )


LOWER = {"conv2d": lower_convolution, "linear": lower_convolution}
