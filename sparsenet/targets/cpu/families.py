"""The CPU kernels, once: their part of the registry's table."""

from __future__ import annotations

from sparsenet.targets.family import Family

#: How the output lies: pixels to keep are all those of the first ``full_vectors`` of a line, then by ``lane_bits``.
_LINES = "height full_vectors *lane_bits line_vectors halo_vectors"
_GEOMETRY = f"c_out {_LINES} x_row"
_OUT = "*out out_row out_channel"

CPU_FAMILIES: dict[str, Family] = {
    "f32_conv_csr_rows": Family(
        "cpu.conv_csr",
        f"*x *row_offsets *stream *bias {_GEOMETRY} {_OUT}",
        ("rows", "vectors"),
        "convolution, CSR weights, any kernel size, stride, padding, dilation and groups",
    ),
    "f32_conv_pattern_rows": Family(
        "cpu.conv_pattern",
        f"*x *stream *counts *channels *bias row_groups chunks {_LINES} x_row {_OUT}",
        ("outputs", "rows", "vectors"),
        "convolution, sparse weights sorted by pattern, any kernel size, stride, padding, "
        "dilation and groups",
    ),
    "f32_conv_dense_rows": Family(
        "cpu.conv_dense",
        f"*x *tap_offsets *weights *bias taps groups x_group {_GEOMETRY} {_OUT}",
        ("outputs", "rows", "vectors"),
        "convolution, dense weights, any kernel size, stride, padding, dilation and groups",
    ),
    "f32_conv_blocked_rows": Family(
        "cpu.conv_blocked",
        f"*x *tap_offsets *weights *bias taps groups x_group c_out height width halo x_row {_OUT}",
        ("stride", "together", "rows", "pixels", "vectors"),
        "convolution, dense weights, output channels along the lanes: maps whose lines do not fill vectors",
    ),
    "f32_depthwise_dense_rows": Family(
        "cpu.depthwise",
        f"*x *tap_offsets *weights *bias multiplier x_channel {_GEOMETRY} {_OUT}",
        ("stride", "taps", "columns", "before", "whole_line", "rows", "vectors"),
        "depthwise convolution, any kernel size, stride, padding and dilation",
    ),
    "f32_maxpool_none_rows": Family(
        "cpu.max_pool",
        "*x *taps_x *tap_bits n_taps_x n_taps_y tap_row inner_first inner_end x_row x_channel "
        f"channels {_LINES} {_OUT}",
        ("stride", "columns", "before", "vectors"),
        "max pooling, any window, padding as -inf",
    ),
    "f32_avgpool_none_rows": Family(
        "cpu.avg_pool",
        f"*x *tap_offsets taps *scale_y *scale_x x_row x_channel channels {_LINES} {_OUT}",
        ("vectors",),
        "average pooling, any window, padding counted or not",
    ),
    "f32_globalavgpool_none_rows": Family(
        "cpu.global_avg_pool",
        "*x x_row x_channel channels height line_vectors scale:f32 accumulate *out",
        ("channels",),
        "global average pooling, at once or row by row",
    ),
    "f32_linear_dense_flat": Family(
        "cpu.linear_dense",
        "*x *weights *bias c_in c_out *out",
        ("vectors",),
        "fully connected, dense weights",
    ),
    "f32_linear_csr_flat": Family(
        "cpu.linear_csr",
        "*x *group_offsets *stream *bias c_out *out",
        ("index_bytes",),
        "fully connected, sparse weights in groups of one row per lane",
    ),
    "f32_copy_none_rows": Family(
        "cpu.elementwise",
        f"*x x_row x_channel channels {_LINES} {_OUT}",
        ("vectors",),
        "element by element: activations, affine, add (all as epilogue)",
    ),
    "f32_mul_none_rows": Family(
        "cpu.multiply",
        f"*x x_row x_channel *y y_row y_channel channels {_LINES} {_OUT}",
        ("vectors",),
        "product of two maps of one shape",
    ),
    "f32_scale_none_rows": Family(
        "cpu.scale",
        f"*x x_row x_channel *gain channels {_LINES} {_OUT}",
        ("vectors",),
        "product of a map and one number per channel",
    ),
    "f32_copy_none_flat": Family(
        "cpu.elementwise_flat",
        "*x size *out",
        (),
        "element by element over a flat tensor",
    ),
    "f32_mul_none_flat": Family(
        "cpu.multiply_flat",
        "*x *y size *out",
        (),
        "product of two flat tensors",
    ),
    "f32_relayout_none_any": Family(
        "cpu.relayout",
        "*x x_row x_channel x_rows x_columns first_row row_step first_column phases channels "
        f"rows columns column_step {_OUT} out_phase",
        ("stride",),
        "between plain NCHW, rows and rows split by column phase; pads with zeros",
    ),
    "f32_fill_none_any": Family(
        "cpu.fill",
        "value:f32 size *out",
        (),
        "halo rows",
    ),
    "f32_softmax_none_flat": Family(
        "cpu.softmax",
        "*x outer axis inner *out",
        (),
        "softmax along one axis of a plain tensor",
    ),
    "f32_take_none_flat": Family(
        "cpu.take",
        "*x rank *shape *tables *out",
        ("runs",),
        "plain tensors: gather, mirrored padding",
    ),
    "f32_transpose_none_any": Family(
        "cpu.transpose",
        "*x x_row x_line x_step x_columns rank *shape *x_jumps *out_jumps rows lines columns "
        "*out out_row out_line",
        ("way",),
        "any evenly spaced elements, between plain tensors and rows: runs copied, squares turned",
    ),
    "f32_interleave_none_any": Family(
        "cpu.interleave",
        "*x x_row x_channel x_down x_across x_columns block_rows block_columns first_row "
        f"channels rows columns {_OUT}",
        ("lines",),
        "several lines become one: depth to space, few channels to the last axis",
    ),
    "f32_broadcast_none_flat": Family(
        "cpu.broadcast",
        "*x *y rank *shape *x_strides *y_strides *out",
        ("operation",),
        "arithmetic and comparison of plain tensors, with any broadcasting",
    ),
    "f32_where_none_flat": Family(
        "cpu.where",
        "*condition *x *y rank *shape *condition_strides *x_strides *y_strides *out",
        (),
        "choice between plain tensors, with any broadcasting",
    ),
    "f32_reduce_none_flat": Family(
        "cpu.reduce",
        "*x *shape *strides kept gone scale:f32 *out",
        ("operation",),
        "sum, mean, maximum, minimum or product over any axes of a plain tensor",
    ),
    "f32_argmax_none_flat": Family(
        "cpu.argmax",
        "*x outer axis inner last *out",
        (),
        "index of the largest number on one axis of a plain tensor",
    ),
    "f32_topk_none_flat": Family(
        "cpu.top_k",
        "*x outer axis inner count sign:f32 least:f32 *out",
        ("filtered",),
        "indices of the largest numbers on one axis of a plain tensor, in order",
    ),
    "f32_pick_none_flat": Family(
        "cpu.pick",
        "*x *indices blocks rows inner x_block columns depth *sizes *strides *out",
        (),
        "numbers of a plain tensor at computed indices, kept inside it",
    ),
    "f32_nms_none_flat": Family(
        "cpu.nms",
        "*boxes *order groups classes size count rows center limit:f32 *out",
        (),
        "greedy non-maximum suppression of boxes, class by class",
    ),
    "f32_nonzero_none_flat": Family(
        "cpu.nonzero",
        "*x rank *shape size *out",
        (),
        "where a plain tensor is not zero",
    ),
    "f32_normalize_none_flat": Family(
        "cpu.normalize",
        "*x runs size eps:f32 *out",
        (),
        "runs of a plain tensor brought to mean 0 and variance 1",
    ),
    "f32_matmul_none_flat": Family(
        "cpu.matmul",
        "*x *y *x_starts *y_starts products rows depth columns *out",
        (),
        "products of matrices that are both computed",
    ),
    "f32_resize_none_rows": Family(
        "cpu.resize",
        "*x x_row x_channel *rows_low *rows_high *rows_weight *columns_low *columns_high "
        f"*columns_weight x_first channels {_LINES} {_OUT}",
        (),
        "nearest or bilinear resize by tables",
    ),
}
