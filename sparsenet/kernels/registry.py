"""Every kernel, once: the table that drives dispatch, tests, benchmarks and the documents' support list.

A *family* is an algorithm in one file of ``cpu/`` or ``cuda/``; a *kernel* is a family with its parameters fixed,
known by name::

    f32_conv_csr_rows_add_relu__cpu_v16_1x4
    dtype op weight-format layout epilogue... target lanes tile      (a bias is part of every conv and linear)

Nothing here imports Numba: a warm start loads machine code by name alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from sparsenet.kernels import jit
from sparsenet.kernels.cuda_families import CUDA_FAMILIES
from sparsenet.kernels.family import Family
from sparsenet.ops import ACTIVATIONS

#: Epilogue word → the tape arguments it reads. `affine` and `add` have pointers, activations their parameters.
EPILOGUE_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "affine": ("scale", "shift"),
    "add": ("residual", "residual_row", "residual_channel"),
    **ACTIVATIONS,
}

#: How the lines of ``f32_transpose_none_any`` come about: one number again and again; neighbours; every second number;
#: numbers at any distance; whole squares turned, where neighbouring lines are neighbours in the source.
TRANSPOSE_WAYS = ("repeated", "run", "halved", "picked", "turned")
#: What the `broadcast` and `reduce` families compute, by the number of their tile parameter.
BROADCAST_OPERATIONS = (
    "add",
    "sub",
    "mul",
    "div",
    "pow",
    "maximum",
    "minimum",
    "greater",
    "less",
    "equal",
)
REDUCE_OPERATIONS = ("sum", "max", "min", "prod")


#: How the output lies: pixels to keep are all those of the first ``full_vectors`` of a line, then by ``lane_bits``.
_LINES = ("height", "full_vectors", "lane_bits", "line_vectors", "halo_vectors")
_GEOMETRY = ("c_out", *_LINES, "x_row")
_OUT = ("out", "out_row", "out_channel")

FAMILIES: dict[str, Family] = {
    "f32_conv_csr_rows": Family(
        "cpu.conv_csr",
        ("x", "row_offsets", "stream", "bias", *_GEOMETRY, *_OUT),
        ("rows", "vectors"),
        "convolution, CSR weights, any kernel size, stride, padding, dilation and groups",
    ),
    "f32_conv_pattern_rows": Family(
        "cpu.conv_pattern",
        (
            "x",
            "stream",
            "counts",
            "channels",
            "bias",
            "row_groups",
            "chunks",
            *_LINES,
            "x_row",
            *_OUT,
        ),
        ("outputs", "rows", "vectors"),
        "convolution, sparse weights sorted by pattern, any kernel size, stride, padding, dilation and groups",
    ),
    "f32_conv_dense_rows": Family(
        "cpu.conv_dense",
        (
            "x",
            "tap_offsets",
            "weights",
            "bias",
            "taps",
            "groups",
            "x_group",
            *_GEOMETRY,
            *_OUT,
        ),
        ("outputs", "rows", "vectors"),
        "convolution, dense weights, any kernel size, stride, padding, dilation and groups",
    ),
    "f32_conv_blocked_rows": Family(
        "cpu.conv_blocked",
        (
            "x",
            "tap_offsets",
            "weights",
            "bias",
            "taps",
            "groups",
            "x_group",
            "c_out",
            "height",
            "width",
            "halo",
            "x_row",
            *_OUT,
        ),
        ("stride", "together", "rows", "pixels", "vectors"),
        "convolution, dense weights, output channels along the lanes: maps whose lines do not fill vectors",
    ),
    "f32_depthwise_dense_rows": Family(
        "cpu.depthwise",
        ("x", "tap_offsets", "weights", "bias", "multiplier", "x_channel", *_GEOMETRY, *_OUT),
        ("stride", "taps", "columns", "before", "whole_line", "rows", "vectors"),
        "depthwise convolution, any kernel size, stride, padding and dilation",
    ),
    "f32_maxpool_none_rows": Family(
        "cpu.max_pool",
        (
            "x",
            "taps_x",
            "tap_bits",
            "n_taps_x",
            "n_taps_y",
            "tap_row",
            "inner_first",
            "inner_end",
            "x_row",
            "x_channel",
            "channels",
            *_LINES,
            *_OUT,
        ),
        ("stride", "columns", "before", "vectors"),
        "max pooling, any window, padding as -inf",
    ),
    "f32_avgpool_none_rows": Family(
        "cpu.avg_pool",
        (
            "x",
            "tap_offsets",
            "taps",
            "scale_y",
            "scale_x",
            "x_row",
            "x_channel",
            "channels",
            *_LINES,
            *_OUT,
        ),
        ("vectors",),
        "average pooling, any window, padding counted or not",
    ),
    "f32_globalavgpool_none_rows": Family(
        "cpu.global_avg_pool",
        ("x", "x_row", "x_channel", "channels", "height", "line_vectors", "scale", "accumulate", "out"),
        ("channels",),
        "global average pooling, at once or row by row",
    ),
    "f32_linear_dense_flat": Family(
        "cpu.linear_dense",
        ("x", "weights", "bias", "c_in", "c_out", "out"),
        ("vectors",),
        "fully connected, dense weights",
    ),
    "f32_linear_csr_flat": Family(
        "cpu.linear_csr",
        ("x", "group_offsets", "stream", "bias", "c_out", "out"),
        ("index_bytes",),
        "fully connected, sparse weights in groups of one row per lane",
    ),
    "f32_copy_none_rows": Family(
        "cpu.elementwise",
        ("x", "x_row", "x_channel", "channels", *_LINES, *_OUT),
        ("vectors",),
        "element by element: activations, affine, add (all as epilogue)",
    ),
    "f32_mul_none_rows": Family(
        "cpu.multiply",
        (
            "x",
            "x_row",
            "x_channel",
            "y",
            "y_row",
            "y_channel",
            "channels",
            *_LINES,
            *_OUT,
        ),
        ("vectors",),
        "product of two maps of one shape",
    ),
    "f32_scale_none_rows": Family(
        "cpu.scale",
        (
            "x",
            "x_row",
            "x_channel",
            "gain",
            "channels",
            *_LINES,
            *_OUT,
        ),
        ("vectors",),
        "product of a map and one number per channel",
    ),
    "f32_copy_none_flat": Family(
        "cpu.elementwise_flat", ("x", "size", "out"), (), "element by element over a flat tensor"
    ),
    "f32_mul_none_flat": Family(
        "cpu.multiply_flat", ("x", "y", "size", "out"), (), "product of two flat tensors"
    ),
    "f32_relayout_none_any": Family(
        "cpu.relayout",
        (
            "x",
            "x_row",
            "x_channel",
            "x_rows",
            "x_columns",
            "first_row",
            "row_step",
            "first_column",
            "phases",
            "channels",
            "rows",
            "columns",
            "column_step",
            *_OUT,
            "out_phase",
        ),
        ("stride",),
        "between plain NCHW, rows and rows split by column phase; pads with zeros",
    ),
    "f32_fill_none_any": Family("cpu.fill", ("value", "size", "out"), (), "halo rows"),
    "f32_softmax_none_flat": Family(
        "cpu.softmax", ("x", "outer", "axis", "inner", "out"), (), "softmax along one axis of a plain tensor"
    ),
    "f32_take_none_flat": Family(
        "cpu.take",
        ("x", "rank", "shape", "tables", "out"),
        ("runs",),
        "plain tensors: gather, mirrored padding",
    ),
    "f32_transpose_none_any": Family(
        "cpu.transpose",
        (
            "x",
            "x_row",
            "x_line",
            "x_step",
            "x_columns",
            "rank",
            "shape",
            "x_jumps",
            "out_jumps",
            "rows",
            "lines",
            "columns",
            "out",
            "out_row",
            "out_line",
        ),
        ("way",),
        "any evenly spaced elements, between plain tensors and rows: runs copied, squares turned",
    ),
    "f32_interleave_none_any": Family(
        "cpu.interleave",
        (
            "x",
            "x_row",
            "x_channel",
            "x_down",
            "x_across",
            "x_columns",
            "block_rows",
            "block_columns",
            "first_row",
            "channels",
            "rows",
            "columns",
            *_OUT,
        ),
        ("lines",),
        "several lines become one: depth to space, few channels to the last axis",
    ),
    "f32_broadcast_none_flat": Family(
        "cpu.broadcast",
        ("x", "y", "rank", "shape", "x_strides", "y_strides", "out"),
        ("operation",),
        "arithmetic and comparison of plain tensors, with any broadcasting",
    ),
    "f32_where_none_flat": Family(
        "cpu.where",
        (
            "condition",
            "x",
            "y",
            "rank",
            "shape",
            "condition_strides",
            "x_strides",
            "y_strides",
            "out",
        ),
        (),
        "choice between plain tensors, with any broadcasting",
    ),
    "f32_reduce_none_flat": Family(
        "cpu.reduce",
        ("x", "shape", "strides", "kept", "gone", "scale", "out"),
        ("operation",),
        "sum, mean, maximum, minimum or product over any axes of a plain tensor",
    ),
    "f32_argmax_none_flat": Family(
        "cpu.argmax",
        ("x", "outer", "axis", "inner", "last", "out"),
        (),
        "index of the largest number on one axis of a plain tensor",
    ),
    "f32_topk_none_flat": Family(
        "cpu.top_k",
        ("x", "outer", "axis", "inner", "count", "sign", "least", "out"),
        ("filtered",),
        "indices of the largest numbers on one axis of a plain tensor, in order",
    ),
    "f32_pick_none_flat": Family(
        "cpu.pick",
        (
            "x",
            "indices",
            "blocks",
            "rows",
            "inner",
            "x_block",
            "columns",
            "depth",
            "sizes",
            "strides",
            "out",
        ),
        (),
        "numbers of a plain tensor at computed indices, kept inside it",
    ),
    "f32_nms_none_flat": Family(
        "cpu.nms",
        (
            "boxes",
            "order",
            "groups",
            "classes",
            "size",
            "count",
            "rows",
            "center",
            "limit",
            "out",
        ),
        (),
        "greedy non-maximum suppression of boxes, class by class",
    ),
    "f32_nonzero_none_flat": Family(
        "cpu.nonzero",
        ("x", "rank", "shape", "size", "out"),
        (),
        "where a plain tensor is not zero",
    ),
    "f32_normalize_none_flat": Family(
        "cpu.normalize",
        ("x", "runs", "size", "eps", "out"),
        (),
        "runs of a plain tensor brought to mean 0 and variance 1",
    ),
    "f32_matmul_none_flat": Family(
        "cpu.matmul",
        ("x", "y", "x_starts", "y_starts", "products", "rows", "depth", "columns", "out"),
        (),
        "products of matrices that are both computed",
    ),
    "f32_resize_none_rows": Family(
        "cpu.resize",
        (
            "x",
            "x_row",
            "x_channel",
            "rows_low",
            "rows_high",
            "rows_weight",
            "columns_low",
            "columns_high",
            "columns_weight",
            "x_first",
            "channels",
            *_LINES,
            *_OUT,
        ),
        (),
        "nearest or bilinear resize by tables",
    ),
    **CUDA_FAMILIES,
}


@dataclass(frozen=True)
class Kernel:
    """A family with its parameters fixed.

    Attributes:
        family: key of ``FAMILIES``.
        lanes: float32 lanes per vector on a CPU (16, 8 or 4), or per load of a GPU's thread (4, 2 or 1).
        tile: values of the family's tile parameters.
        epilogue: fused words in execution order (see ``EPILOGUE_ARGUMENTS``).
    """

    family: str
    lanes: int
    tile: tuple[int, ...] = ()
    epilogue: tuple[str, ...] = field(default=())

    @cached_property
    def name(self) -> str:
        """Registry key, benchmark id and profile entry."""
        words = [self.family, *self.epilogue]
        tile = "x".join(map(str, self.tile))
        return "_".join(words) + f"__{self.target}_v{self.lanes}" + (f"_{tile}" if tile else "")

    @property
    def target(self) -> str:
        """What it runs on: ``cpu`` or ``cuda``."""
        return FAMILIES[self.family].module.partition(".")[0]

    @cached_property
    def arguments(self) -> list[str]:
        """Names of the tape arguments in order; an epilogue argument carries its step's index, as ``scale.1``."""
        names = list(FAMILIES[self.family].arguments)
        for step, word in enumerate(self.epilogue):
            names += [f"{argument}.{step}" for argument in EPILOGUE_ARGUMENTS[word]]
        return names

    def parameter(self, name: str) -> int:
        """Value of a tile parameter by name."""
        return self.tile[FAMILIES[self.family].tile.index(name)]

    def with_parameter(self, name: str, value: int) -> Kernel:
        """The same kernel with another value of one tile parameter."""
        index = FAMILIES[self.family].tile.index(name)
        return replace(self, tile=(*self.tile[:index], value, *self.tile[index + 1 :]))

    def address(self) -> int:
        """Address of the machine code, compiled or loaded now if it was not yet."""
        return jit.function_address(self.name, self.build)

    def build(self) -> object:
        """Compile: returns the Numba ``cfunc``, or for a GPU the kernel as a Python function."""
        module = importlib.import_module(f"sparsenet.kernels.{FAMILIES[self.family].module}")
        return module.build(self)


def epilogue_slot(kernel: Kernel) -> int:
    """Tape index of the first epilogue argument."""
    return len(FAMILIES[kernel.family].arguments)


def support_table() -> Sequence[tuple[str, str]]:
    """``(family, summary)`` of every kernel family, for docs/kernels.md."""
    return [(name, family.summary) for name, family in FAMILIES.items()]
