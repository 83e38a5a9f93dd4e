"""Depthwise convolutions by themselves."""

from __future__ import annotations

from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.lowering.weights import nonzeros
from sparsenet.targets.cuda.builder import THREADS, Builder
from sparsenet.targets.cuda.layout import round_up
from sparsenet.targets.cuda.lower.epilogues import epilogue_of
from sparsenet.targets.cuda.lower.windows import padded_input

#: Output rows that a thread computes, by the stride of rows.
ROWS = {1: 4, 2: 2}


def lower_depthwise(builder: Builder, conv: Convolution) -> None:
    """Lower a depthwise convolution as one launch."""
    x, out = padded_input(builder, conv), builder.new_maps(conv.node.output)
    epilogue = epilogue_of(builder, conv.node, out)
    geometry = conv.geometry
    (stride_h, stride_w), (top, left) = geometry.stride, geometry.before
    (k_h, k_w), (dilation_h, dilation_w) = geometry.kernel, geometry.dilation
    maps = out.maps
    rows = min(ROWS.get(stride_h, 1), maps.height)
    tile = (k_h, k_w, stride_h, stride_w, dilation_h, dilation_w, rows)
    kernel = builder.kernel("depthwise_dense_maps", tile, epilogue.ops)
    counts = conv.counts(builder.once(nonzeros, conv.weight))
    builder.decide(conv.node, "dense", kernel, "depthwise", **counts)
    row_blocks = -(-(maps.height + maps.rows) // rows)
    work = maps.images * row_blocks * maps.line + maps.pitch - maps.images * maps.image
    threads = min(THREADS, round_up(work, 32))
    along = -(-work // threads)
    # The rows that complete the last row block of the last image are computed, though not written.
    last_row = (row_blocks * rows - 1) * stride_h + (k_h - 1) * dilation_h - top
    last_column = (maps.width - 1) * stride_w + (k_w - 1) * dilation_w - left
    end = (maps.images - 1) * x.maps.image + last_row * x.maps.line + last_column + 1
    builder.overread = max(builder.overread, end - x.maps.pitch)
    builder.call(
        kernel,
        (along, builder.across(along, maps.channels)),
        threads,
        epilogue,
        x=x + (-top * x.maps.line - left),
        values=builder.constant(conv.weight),
        bias=builder.constant(conv.bias),
        multiplier=conv.weight.shape[0] // conv.groups,
        x_image=x.maps.image,
        x_line=x.maps.line,
        x_pitch=x.maps.pitch,
        channels=maps.channels,
        row_blocks=row_blocks,
        **maps.geometry(),
        out=out,
        pitch=maps.pitch,
    )
