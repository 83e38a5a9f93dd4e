"""Convolutions: rows of a sparse or dense matrix over pixels in place."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import Node
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.lowering.weights import as_matrix, nonzeros
from sparsenet.targets.cuda.builder import Builder, NoKernelError, Value
from sparsenet.targets.cuda.choice import Candidate, choose, conv_candidates
from sparsenet.targets.cuda.lower.depthwise import lower_depthwise
from sparsenet.targets.cuda.lower.epilogues import epilogue_of
from sparsenet.targets.cuda.lower.separable import lower_fused
from sparsenet.targets.cuda.lower.windows import padded_input, tap_offsets
from sparsenet.targets.cuda.pack import PACK
from sparsenet.targets.cuda.separable_tiles import Depthwise


def lower_conv2d(builder: Builder, node: Node) -> None:
    """Choose how to compute ``node``, together with the depthwise convolution that waits for it, if any."""
    conv = Convolution.of(builder.graph, builder.shapes, node)
    before = builder.pairs.get(node.name)
    if node.name in builder.waiting:
        return
    if conv.depthwise:
        lower_depthwise(builder, conv)
    elif before is None:
        _lower_matrix(builder, conv)
    else:
        _lower_pair(builder, before, conv)


def _lower_matrix(builder: Builder, conv: Convolution) -> None:
    x, out = padded_input(builder, conv), builder.new_maps(conv.node.output)
    aligned = not (tap_offsets(conv, x.maps) % 4).any()
    in_place = conv.geometry.stride == (1, 1) and x.maps.lies_like(out.maps) and aligned
    matrix = builder.once(as_matrix, conv.weight)
    density = builder.once(nonzeros, matrix) / matrix.size
    candidates = conv_candidates((out.maps.pitch, *matrix.shape), density, in_place, builder.options)
    candidate, reason = choose(builder.options, conv.node.name, candidates, density)
    _call(builder, conv, x, out, candidate, reason)


def _lower_pair(builder: Builder, depth: Convolution, conv: Convolution) -> None:
    out, taps = builder.new_maps(conv.node.output), builder.once(as_matrix, depth.weight).shape
    matrix = builder.once(as_matrix, conv.weight)
    density = builder.once(nonzeros, matrix) / matrix.size
    size = (out.maps.pitch, *matrix.shape)
    # The input of a 1x1 convolution is laid out like its output.
    candidates = conv_candidates(size, density, True, builder.options, Depthwise(*taps))
    names = conv.node.name, depth.node.name
    candidate, reason = choose(builder.options, names[0], candidates, density, names[1])
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
    offsets, tile = tap_offsets(conv, x.maps), candidate.tile
    if offsets.max(initial=0) > np.iinfo(np.int32).max:
        raise NoKernelError(f"its input has {x.size} numbers, more than 32 bits can count")
    matrix = builder.once(as_matrix, conv.weight)
    packed = builder.once(PACK[candidate.format], matrix, offsets, tile.rows, conv.groups)
    kernel = builder.kernel(f"conv_{candidate.format}_maps", tile.parameters, epilogue.ops, tile.lanes)
    counts = conv.counts(builder.once(nonzeros, matrix))
    builder.decide(conv.node, candidate.format, kernel, reason, **counts)
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
        **builder.row_groups(packed),
        bias=builder.constant(conv.bias),
        x_image=x.maps.image,
        x_row=conv.geometry.stride[0] * x.maps.line,
        x_column=conv.geometry.stride[1],
        **out.maps.geometry(),
        out=out,
        pitch=out.maps.pitch,
    )


LOWER = {"conv2d": lower_conv2d}
