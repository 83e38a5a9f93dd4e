"""Depthwise convolutions by themselves."""

from __future__ import annotations

from sparsenet.targets.cuda.builder import THREADS, Builder
from sparsenet.targets.cuda.layout import round_up
from sparsenet.targets.cuda.lower.epilogues import epilogue_of
from sparsenet.targets.cuda.lower.windows import Convolution
from sparsenet.targets.registry import Kernel

#: Output rows that a thread computes, by the stride of rows.
ROWS = {1: 4, 2: 2}


def lower_depthwise(builder: Builder, conv: Convolution) -> None:
    """One launch."""
    x, out = conv.padded_input(builder), builder.new(conv.node.output)
    epilogue = epilogue_of(builder, conv.node, out)
    (stride_h, stride_w), (top, left) = conv.stride, conv.padding[:2]
    (k_h, k_w), (dilation_h, dilation_w) = conv.weight.shape[2:], conv.dilation
    maps = out.maps
    rows = min(ROWS.get(stride_h, 1), maps.height)
    tile = (k_h, k_w, stride_h, stride_w, dilation_h, dilation_w, rows)
    kernel = Kernel("f32_depthwise_dense_maps", 1, tile, tuple(epilogue.words))
    builder.decide(conv.node, "dense", kernel, "depthwise", **conv.counts(out))
    bands = -(-(maps.height + maps.rows) // rows)
    work = maps.images * bands * maps.line + maps.pitch - maps.images * maps.image
    threads = min(THREADS, round_up(work, 32))
    along = -(-work // threads)
    # The rows that make up the last band of the last image are computed, though not written.
    last_row = (bands * rows - 1) * stride_h + (k_h - 1) * dilation_h - top
    last_column = (maps.width - 1) * stride_w + (k_w - 1) * dilation_w - left
    end = (maps.images - 1) * x.maps.image + last_row * x.maps.line + last_column + 1
    builder.overread = max(builder.overread, end - x.maps.pitch)
    builder.call(
        kernel,
        (along, builder.across(along, maps.channels)),
        threads,
        epilogue,
        x=x + (-top * x.maps.line - left),
        values=builder.weights.add(conv.weight),
        bias=builder.weights.add(conv.bias),
        multiplier=conv.weight.shape[0] // conv.groups,
        x_image=x.maps.image,
        x_line=x.maps.line,
        x_pitch=x.maps.pitch,
        channels=maps.channels,
        bands=bands,
        **maps.geometry(),
        out=out,
        pitch=maps.pitch,
    )
