"""Functions of the numbers along one axis of a tensor in C order: (outer, size, inner)."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented

_EACH = "for (uint32_t i = 0; i < a->size; ++i)"
_X = "x[(size_t)i * a->inner]"
#: Reduction → what it begins with, and what each number does to it, by the number of the tile parameter.
REDUCTIONS = {
    "sum": ("0.0f", f"sum += {_X};"),
    "max": ("x[0]", f"sum = {_X} > sum || {_X} != {_X} ? {_X} : sum;"),
    "min": ("x[0]", f"sum = {_X} < sum || {_X} != {_X} ? {_X} : sum;"),
    "prod": ("1.0f", f"sum *= {_X};"),
}


def body(kernel: Kernel) -> list[str]:
    """Line by line."""
    made, advanced = _LINES[kernel.family_name](kernel)
    return indented([
        "const float *x = (const float *)rows[0];",
        "float *out = (float *)out_row;",
        "(void)y;",
        *block("for (uint32_t o = 0; o < a->outer; ++o)", [
            *block("for (uint32_t k = 0; k < a->inner; ++k)", [*made, "++x;", "++out;"]),
            "x += (size_t)(a->size - 1u) * a->inner;",
            *(["out += (size_t)(a->size - 1u) * a->inner;"] if advanced else []),
        ]),
    ])  # fmt: skip


def _softmax(_kernel: Kernel) -> tuple[list[str], bool]:
    return [
        "float most = x[0], sum = 0.0f;",
        *block(_EACH, [f"most = {_X} > most ? {_X} : most;"]),
        *block(_EACH, [
            f"const float power = expf({_X} - most);",
            "out[(size_t)i * a->inner] = power;",
            "sum += power;",
        ]),
        *block(_EACH, ["out[(size_t)i * a->inner] /= sum;"]),
    ], True  # fmt: skip


def _reduce(kernel: Kernel) -> tuple[list[str], bool]:
    begin, each = list(REDUCTIONS.values())[kernel.tile[0]]
    return [f"float sum = {begin};", *block(_EACH, [each]), "*out = sum * a->scale;"], False


def _argmax(_kernel: Kernel) -> tuple[list[str], bool]:
    """NaN is larger than any number, the first of several counts, or the last."""
    return [
        "float most = x[0];",
        "uint32_t at = 0;",
        *block("for (uint32_t i = 1; i < a->size; ++i)", [
            f"const float v = {_X};",
            "const int equal = v == most || (v != v && most != most);",
            *block("if (v > most || (v != v && most == most) || (equal && a->last != 0u))", ["most = v;", "at = i;"]),
        ]),
        "*out = (float)at;",
    ], False  # fmt: skip


def _normalize(_kernel: Kernel) -> tuple[list[str], bool]:
    return [
        "float mean = 0.0f, square = 0.0f;",
        *block(_EACH, [f"mean += {_X};"]),
        "mean /= (float)a->size;",
        *block(_EACH, [f"square += ({_X} - mean) * ({_X} - mean);"]),
        "square = 1.0f / sqrtf(square / (float)a->size + a->eps);",
        *block(_EACH, [f"out[(size_t)i * a->inner] = ({_X} - mean) * square;"]),
    ], True


_LINES = {
    "f32_softmax_none_flat": _softmax,
    "f32_reduce_none_flat": _reduce,
    "f32_argmax_none_flat": _argmax,
    "f32_normalize_none_flat": _normalize,
}
