"""The CUDA kernels, once: their part of the registry's table."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.graph.ops import ACTIVATIONS, FUSED_OP_TENSORS
from sparsenet.graph.types import F32
from sparsenet.targets.family import Family, by_name

#: Fused op → the ``tensors`` it reads; activations read as many ``numbers`` as they have parameters.
_EPILOGUE_ARRAYS = {
    op: [name for t in tensors for name in ((t.name,) if t.per_channel else (t.name, f"{t.name}_pitch"))]
    for op, tensors in FUSED_OP_TENSORS.items()
}

#: The marker in an epilogue behind which the fused ops of the second convolution of a pair begin.
POINTWISE = "pointwise"

#: The layout of maps: pixels of a row and rows of an image, then floats from row to row and from image to image.
_MAPS = "width height line image images"
#: Strides of the input: floats between the pixels of neighbouring images, rows and columns of the output.
_WINDOWS = "x_image x_row x_column"
_OUT = "out pitch"

_CONV = f"x spans columns values channels bias groups {_WINDOWS} {_MAPS} {_OUT}"
_CONV_TILE = ("rows", "vectors", "pixel_threads", "splits", "row_threads")

_SEPARABLE = (
    "x depth_values depth_bias depth_channels x_image x_line x_pitch spans columns values "
    f"channels bias groups {_MAPS} {_OUT}"
)
_SEPARABLE_TILE = (
    *("k_h", "k_w", "stride_h", "stride_w", "dilation_h", "dilation_w"),
    *("rows", "vectors", "pixel_threads", "row_threads", "floats"),
)

_POOLED = "x_width x_height x_line x_image x_pitch k_h k_w stride_h stride_w top left"

CUDA_FAMILIES = by_name(
    Family(
        F32,
        "conv_csr_maps",
        "cuda.conv",
        _CONV,
        _CONV_TILE,
        "convolution and fully connected, CSR weights by groups of rows, any kernel size, "
        "stride, dilation and groups",
    ),
    Family(
        F32,
        "conv_dense_maps",
        "cuda.conv",
        _CONV,
        _CONV_TILE,
        "convolution and fully connected, dense weights, any kernel size, stride, dilation and groups",
    ),
    Family(
        F32,
        "depthwise_dense_maps",
        "cuda.depthwise",
        f"x values bias multiplier x_image x_line x_pitch channels row_blocks {_MAPS} {_OUT}",
        ("k_h", "k_w", "stride_h", "stride_w", "dilation_h", "dilation_w", "rows"),
        "depthwise convolution, any kernel size, stride and dilation",
    ),
    Family(
        F32,
        "separable_csr_maps",
        "cuda.separable",
        _SEPARABLE,
        _SEPARABLE_TILE,
        "depthwise and 1x1 convolution in one, CSR weights by groups of rows; what is between "
        "them stays on the chip",
    ),
    Family(
        F32,
        "separable_dense_maps",
        "cuda.separable",
        _SEPARABLE,
        _SEPARABLE_TILE,
        "depthwise and 1x1 convolution in one, dense weights",
    ),
    Family(
        F32,
        "maxpool_none_maps",
        "cuda.max_pool",
        f"x {_POOLED} dilation_h dilation_w channels {_MAPS} {_OUT}",
        (),
        "max pooling, any window",
    ),
    Family(
        F32,
        "avgpool_none_maps",
        "cuda.avg_pool",
        f"x {_POOLED} scale_y scale_x channels {_MAPS} {_OUT}",
        (),
        "average pooling, any window, padding counted or not",
    ),
    Family(
        F32,
        "globalavgpool_none_maps",
        "cuda.global_avg_pool",
        f"x x_image x_pitch pixels channels {_MAPS} {_OUT}",
        ("threads", "channels"),
        "global average pooling",
    ),
    Family(
        F32,
        "copy_none_maps",
        "cuda.elementwise",
        f"x channels {_MAPS} {_OUT}",
        (),
        "element by element: activations, affine, add (all as epilogue)",
    ),
    Family(
        F32,
        "broadcast_none_maps",
        "cuda.broadcast",
        f"x x_image x_channel x_row x_column y y_image y_channel y_row y_column channels {_MAPS} {_OUT}",
        ("operation",),
        "arithmetic and comparison of two tensors, with any broadcasting",
    ),
    Family(
        F32,
        "resize_none_maps",
        "cuda.resize",
        "x x_line x_image x_pitch rows_low rows_high rows_weight columns_low columns_high "
        f"columns_weight channels {_MAPS} {_OUT}",
        (),
        "nearest or bilinear resize by tables",
    ),
    Family(
        F32,
        "softmax_none_maps",
        "cuda.softmax",
        "x axis axis_stride first second third first_stride second_stride third_stride out",
        ("threads", "lines"),
        "softmax along one axis",
    ),
    Family(
        F32,
        "reduce_none_maps",
        "cuda.reduce",
        "x x_image x_channel x_row x_column first second third first_stride second_stride "
        f"third_stride channels {_MAPS} {_OUT}",
        ("operation",),
        "sum, mean, maximum, minimum or product over any axes",
    ),
    Family(
        F32,
        "where_none_maps",
        "cuda.where",
        "condition condition_image condition_channel condition_row condition_column x x_image "
        f"x_channel x_row x_column y y_image y_channel y_row y_column channels {_MAPS} {_OUT}",
        (),
        "elementwise selection between tensors, with any broadcasting",
    ),
    Family(
        F32,
        "argmax_none_maps",
        "cuda.argmax",
        f"x x_image x_channel x_row x_column axis axis_stride last channels {_MAPS} {_OUT}",
        (),
        "index of the largest number on one axis",
    ),
    Family(
        F32,
        "relayout_none_maps",
        "cuda.relayout",
        "x x_image x_channel x_row x_column first_row first_column x_height x_width positions "
        f"channels {_MAPS} out out_image out_channel out_row",
        (),
        "copies between plain tensors and maps: transposed, sliced, repeated, padded",
    ),
    Family(
        F32,
        "take_none_maps",
        "cuda.take",
        f"x x_image x_channels x_rows x_columns channels {_MAPS} {_OUT}",
        (),
        "gather by tables: any order of axes, constant indices, reflection padding",
    ),
    Family(
        F32,
        "pick_none_maps",
        "cuda.pick",
        "x x_image x_channel x_row x_column depth sizes steps indices indices_image "
        f"indices_channel indices_row indices_column channels {_MAPS} {_OUT}",
        (),
        "gather by computed indices, clamped to their axes",
    ),
    Family(
        F32,
        "topk_none_maps",
        "cuda.top_k",
        "x axis axis_stride first second third first_stride second_stride third_stride count "
        "out out_axis out_first out_second out_third",
        (),
        "indices of the largest numbers on one axis, in order",
    ),
    Family(
        F32,
        "normalize_none_maps",
        "cuda.normalize",
        "x first second third first_stride second_stride third_stride outer middle inner "
        "outer_stride middle_stride inner_stride out",
        ("threads", "runs"),
        "runs of numbers normalized to mean 0 and variance 1",
    ),
    Family(
        F32,
        "matmul_none_maps",
        "cuda.matmul",
        "x y x_starts y_starts out_starts products rows depth columns x_row x_column y_row "
        "y_column out out_row",
        ("rows", "columns", "row_threads", "column_threads", "depth"),
        "products of matrices, both of them activations",
    ),
)


def epilogue_arguments(ops: Sequence[str]) -> tuple[int, int]:
    """How many ``tensors`` and ``numbers`` these fused ops read."""
    tensors = sum(len(_EPILOGUE_ARRAYS.get(op, ())) for op in ops)
    numbers = sum(len(ACTIVATIONS[op].parameters) for op in ops if op in ACTIVATIONS)
    return tensors, numbers


def argument_counts(ops: Sequence[str]) -> tuple[int, int]:
    """Lengths of a kernel's ``tensors`` and ``numbers`` for this epilogue, at least 1: Numba passes no empty tuple."""
    tensors, numbers = epilogue_arguments(ops)
    return max(tensors, 1), max(numbers, 1)
