"""Every kernel family of exported C, once: names, arguments and what each computes."""

from __future__ import annotations

from sparsenet.graph.types import F32
from sparsenet.targets.family import Family, by_name

_CONV = "c_out kernel_rows before width out_channel"
_LINES = "channels width x_channel out_channel"

FAMILIES = by_name(
    Family(
        F32,
        "input_f32_rows",
        "input",
        "channels width out_channel",
        ("pixel",),
        "a row of the caller's image",
    ),
    Family(
        F32,
        "input_u8_rows",
        "input",
        "*scale *shift channels width out_channel",
        ("pixel",),
        "a row of the caller's image in bytes, each channel scaled and shifted",
    ),
    Family(
        F32,
        "conv_csr_rows",
        "conv_csr",
        f"*weights *places:u16 *counts:u16 *bias {_CONV}",
        ("rows", "width", "stride"),
        "sparse convolution: of every output channel its nonzeros, and where each reads",
    ),
    Family(
        F32,
        "conv_csri8_rows",
        "conv_csr",
        f"*weights:i8 *places:u16 *counts:u16 *bias *scale {_CONV}",
        ("rows", "width", "stride"),
        "sparse convolution, weights in bytes with a scale for each output channel",
    ),
    Family(
        F32,
        "conv_stepsi8_rows",
        "conv_csr",
        f"*weights:i8 *places:u8 *counts:u16 *bias *scale x_channel {_CONV}",
        ("rows", "width", "stride"),
        "sparse 1x1 convolution, weights in bytes, places as steps from channel to channel",
    ),
    Family(
        F32,
        "conv_dense_rows",
        "conv_dense",
        f"*weights *bias x_channel c_in dilation {_CONV}",
        ("outputs", "width", "stride", "columns"),
        "dense convolution, blocks of output channels and pixels",
    ),
    Family(
        F32,
        "conv_densei8_rows",
        "conv_dense",
        f"*weights:i8 *bias *scale x_channel c_in dilation {_CONV}",
        ("outputs", "width", "stride", "columns"),
        "dense convolution, weights in bytes with a scale for each output channel",
    ),
    Family(
        F32,
        "depthwise_dense_rows",
        "depthwise",
        f"*weights *bias x_channel multiplier {_CONV}",
        ("width", "stride", "columns", "dilation"),
        "depthwise convolution: each output channel reads one input channel",
    ),
    Family(
        F32,
        "depthwise_densei8_rows",
        "depthwise",
        f"*weights:i8 *bias *scale x_channel multiplier {_CONV}",
        ("width", "stride", "columns", "dilation"),
        "depthwise convolution, weights in bytes with a scale for each output channel",
    ),
    Family(
        F32,
        "linear_csr_flat",
        "linear",
        "*weights *places:u16 *counts:u16 *bias c_out",
        (),
        "sparse fully connected layer",
    ),
    Family(
        F32,
        "linear_csri8_flat",
        "linear",
        "*weights:i8 *places:u16 *counts:u16 *bias *scale c_out",
        (),
        "sparse fully connected layer, weights in bytes with a scale for each output",
    ),
    Family(
        F32, "linear_dense_flat", "linear", "*weights *bias c_in c_out", (), "dense fully connected layer"
    ),
    Family(
        F32,
        "linear_densei8_flat",
        "linear",
        "*weights:i8 *bias *scale c_in c_out",
        (),
        "dense fully connected layer, weights in bytes with a scale for each output",
    ),
    Family(
        F32,
        "maxpool_none_rows",
        "max_pool",
        f"kernel_rows before x_width begin end {_LINES}",
        ("width", "stride", "columns", "dilation"),
        "max pooling, tiles of pixels whose windows are inside, one by one at the edges",
    ),
    Family(
        F32,
        "avgpool_none_rows",
        "avg_pool",
        f"*row_share *column_share kernel_rows before x_width {_LINES}",
        ("stride", "columns", "dilation"),
        "average pooling, padding counted or not",
    ),
    Family(
        F32,
        "mean_none_rows",
        "mean",
        "channels width x_channel rows share:f32",
        (),
        "mean of each channel over a whole map",
    ),
    Family(F32, "copy_none_rows", "copy", _LINES, (), "copy of a row, with fused ops"),
)
