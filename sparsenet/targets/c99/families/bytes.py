"""Kernel families over maps of bytes: layers in integers."""

from __future__ import annotations

from sparsenet.graph.types import F32, I32, U8, U8X4
from sparsenet.targets.c99.families.arguments import CONV, LINES
from sparsenet.targets.family import Family

#: From sums of integer products to bytes: the bias, what multiplies them, levels, a slope below 0, what is added; or,
#: in fixed point, three terms for each channel.
_ROUNDED = (
    "*bias:i32 *multiplier:f32 *low:u8 *high:u8 *terms:i32 zero bend:f32 other_channel other_zero share:f32"
)
_FINISH = ("bend", "add", "clamp", "mean")
_ADD = f"x_zero x_share:f32 z_zero z_share:f32 zero low high bend:f32 z_channel {LINES}"

BYTES = (
    Family(
        U8X4,
        "conv_csr_rows",
        "conv_bytes",
        f"*weights:i8 *places:u16 *counts:u16 *absent:i32 {_ROUNDED} {CONV}",
        ("rows", "width", "stride", *_FINISH, "numbers"),
        "sparse convolution or fully connected layer in integers, weight by weight",
    ),
    Family(
        U8X4,
        "conv_csrquads_rows",
        "conv_quads",
        f"*stream:u8 quads x_channel x_zero {_ROUNDED} {CONV}",
        ("width", "stride", "columns", "dilation", *_FINISH),
        "convolution in integers, quad by quad of input channels",
    ),
    Family(
        U8X4,
        "conv_csrgroups_rows",
        "conv_groups",
        f"*groups:u16 *sizes:u16 quads x_channel x_zero stride span phases length {_ROUNDED} {CONV}",
        ("width", *_FINISH),
        "convolution in integers, four quads of input channels at a time in vectors",
    ),
    Family(
        U8X4,
        "depthwise_densepairs_rows",
        "depthwise_pairs",
        f"*weights:i8 x_channel x_zero seen {_ROUNDED} {CONV}",
        ("width", "stride", "columns", "dilation", "rows", *_FINISH),
        "depthwise convolution in integers, two rows at a time",
    ),
    Family(
        U8X4,
        "depthwise_dense_rows",
        "depthwise_bytes",
        f"*weights:i8 *absent:i32 x_channel multiple {_ROUNDED} {CONV}",
        ("width", "stride", "columns", "dilation", *_FINISH),
        "depthwise convolution in integers",
    ),
    Family(
        U8X4,
        "depthwise_densecolumns_rows",
        "depthwise_columns",
        f"*weights:i8 *places:u16 x_channel x_zero span columns {_ROUNDED} {CONV}",
        ("width", "stride", "vectors", *_FINISH),
        "depthwise convolution in integers, four columns of four rows of the window at a time in vectors",
    ),
    Family(
        U8X4,
        "quantize_none_rows",
        "quads",
        f"scale:f32 zero {LINES}",
        (),
        "float32 numbers to the nearest bytes of a grid",
    ),
    Family(
        F32, "dequantize_none_rows", "quads", f"scale:f32 zero {LINES}", (), "the numbers of a grid's bytes"
    ),
    Family(U8X4, "table_none_rows", "quads", f"*table:u8 {LINES}", (), "functions of one byte, by a table"),
    Family(
        U8X4,
        "add_none_rows",
        "quads",
        _ADD,
        ("bend",),
        "sums of two maps in bytes",
    ),
    Family(
        U8X4,
        "mul_none_rows",
        "multiply",
        "x_zero z_zero share:f32 zero low high bend:f32 z_channel " + LINES,
        ("bend", "per_channel"),
        "products of two maps in bytes, or of one and a byte for each channel",
    ),
    Family(
        U8X4,
        "concat_none_rows",
        "join",
        "*lines:i32 *steps:i32 operands width out_step",
        (),
        "channels of maps in bytes put together",
    ),
    Family(
        U8X4,
        "nearest_none_rows",
        "resize",
        f"*left:u16 {LINES}",
        (),
        "resizing to the nearest pixel, quad by quad",
    ),
    Family(
        U8X4,
        "maxpool_none_rows",
        "quads",
        f"before x_width begin end {LINES}",
        ("stride", "columns", "dilation", "rows"),
        "max pooling of bytes",
    ),
    Family(
        U8X4,
        "tablevectors_none_rows",
        "quads_mve",
        f"*table:u8 {LINES}",
        ("tail",),
        "functions of one byte by a table, in vectors",
    ),
    Family(
        U8X4,
        "addvectors_none_rows",
        "quads_mve",
        _ADD,
        ("bend", "tail"),
        "sums of two maps in bytes, in vectors",
    ),
    Family(
        U8X4,
        "maxpoolvectors_none_rows",
        "quads_mve",
        f"before x_width begin end length {LINES}",
        ("stride", "columns", "dilation", "rows", "tail"),
        "max pooling of bytes, in vectors",
    ),
    Family(
        U8X4,
        "avgpool_none_rows",
        "quads",
        f"*shares:f32 kernel_rows before x_width x_zero zero {LINES}",
        ("stride", "columns", "dilation"),
        "average pooling of bytes, padding counted or not",
    ),
    Family(I32, "sum_none_rows", "quads", "channels width x_channel x_zero", (), "sums of bytes over a map"),
    Family(
        U8,
        "mean_none_flat",
        "quads",
        "channels out_channel share:f32 zero",
        (),
        "means in bytes, of sums over a map",
    ),
)
