"""How integer kernels make bytes of sums, to the bit as ``graph.integer`` says."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block

#: A larger number, before it is clamped, must be clamped as a float.
MOST_ROUNDED = 2.0**21

#: Bits behind the point of results in fixed point, and the parameter ``clamp`` of kernels that make bytes so.
FRACTION, FIXED = 4, 3


def begun(kernel: Kernel) -> list[str]:
    """What goes along with the channels, in fixed point: pointers to terms, and to pixel ``x0`` of the result."""
    if kernel.parameter("clamp") != FIXED:
        return []
    out = [] if kernel.parameter("mean") else ["uint8_t *out = (uint8_t *)out_row + 4u * x0;"]
    return ["const int32_t *term = a->terms;", *out]


def next_channel(kernel: Kernel) -> list[str]:
    """Moves them on from channel ``c``."""
    if kernel.parameter("clamp") != FIXED:
        return []
    moved = [] if kernel.parameter("mean") else [f"out += {after('a->out_channel')};"]
    return ["term += 3;", *moved]


def after(line: str) -> str:
    """How far the byte of the next channel is from that of channel ``c``, where a channel's pixels are ``line``."""
    return f"c % 4u != 3u ? 1 : 4 * (ptrdiff_t){line} - 3"


def bias(kernel: Kernel, sums: Sequence[str]) -> str:
    """What the sums of channel ``c`` begin with."""
    first = "*term" if kernel.parameter("clamp") == FIXED else "a->bias[c]"
    return f"int32_t {sums[0]} = {first}{''.join(f', {s} = {sums[0]}' for s in sums[1:])};"


def finished(kernel: Kernel, sums: Sequence[str], behind: str = "") -> list[str]:
    """Make bytes of the sums of channel ``c``, neighbouring pixels from ``x0`` on, and store them, or add up how far
    they are from the zero point, where only their mean is wanted. In fixed point ``begun`` is to point to the first of
    the pixels, or so many bytes before, in C.
    """
    lines, fixed = ["const int32_t zero = (int32_t)a->zero;"], kernel.parameter("clamp") == FIXED
    if kernel.parameter("mean"):
        lines.append(f"int32_t total = {-len(sums)} * zero;")
        store = [*(f"total += {s};" for s in sums), "((int32_t *)out_row)[c] += total;"]
    else:
        place = f"{behind} + " if behind and fixed else ""
        store = [f"out[{place}{QUAD * t}] = (uint8_t){s};" for t, s in enumerate(sums)]
        if not fixed:
            lines.append(
                "uint8_t *out = (uint8_t *)out_row + 4u * (x0 + (size_t)(c / 4u) * a->out_channel) + c % 4u;"
            )
    return [*lines, *(_by_fixed_point(sums) if fixed else _by_float(kernel, sums)), *store]


def _by_fixed_point(sums: Sequence[str]) -> list[str]:
    """By the line of the channel; in float32, if there is none. See ``lower.fixed_point``."""
    return [
        "const int32_t factor = term[1], added = term[2];",
        *block("if (added == INT32_MIN)", [
            f"int32_t numbers[{len(sums)}] = {{{', '.join(sums)}}};",
            "float multiplier;",
            "memcpy(&multiplier, &factor, sizeof multiplier);",
            *block(f"for (uint32_t t = 0; t < {len(sums)}u; ++t)", [
                f"numbers[t] = @rounded(@product((float)numbers[t], multiplier), zero) * {1 << FRACTION};",
            ]),
            *(f"{s} = numbers[{t}];" for t, s in enumerate(sums)),
        ]),
        *block("else", [f"{s} = @scaled({s}, factor, added);" for s in sums]),
        *(f"{s} = @byte({s} >> {FRACTION});" for s in sums),
    ]  # fmt: skip


def _by_float(kernel: Kernel, sums: Sequence[str]) -> list[str]:
    """By products in float32."""
    bent, added, clamp = (kernel.parameter(name) for name in ("bend", "add", "clamp"))
    lines = ["const float multiplier = a->multiplier[c];"]
    if clamp == 2:
        lines.append("const float low = (float)(a->low[c] - zero), high = (float)(a->high[c] - zero);")
    elif clamp == 1:
        lines.append("const int32_t low = a->low[c], high = a->high[c];")
    if added:
        lines += [
            "const uint8_t *other = (const uint8_t *)rows[a->kernel_rows];",
            "other += 4u * (x0 + (size_t)(c / 4u) * a->other_channel) + c % 4u;",
        ]
    for t, s in enumerate(sums):
        made = [f"float number = @product((float){s}, multiplier);"]
        if added:
            made = [
                f"const float far = (float)((int32_t)other[{QUAD * t}] - (int32_t)a->other_zero);",
                f"float number = @product((float){s}, multiplier) + @product(far, a->share);",
            ]
        lines += block("", [*made, *bend("number", bool(bent)), *_to_byte(s, clamp)])
    return lines


def _to_byte(byte: str, clamp: int) -> list[str]:
    """The integer nearest to ``number``: clamped to 0 to 255, between levels, or before it is rounded, where it may be
    large.
    """
    if clamp == 2:
        return [f"{byte} = @rounded(@clamped(number, low, high), zero);"]
    if clamp == 0:
        return [f"{byte} = @byte(@rounded(number, zero));"]
    return [
        f"{byte} = @rounded(number, zero);",
        f"{byte} = {byte} < low ? low : {byte};",
        f"{byte} = {byte} > high ? high : {byte};",
    ]


def bend(number: str, bent: bool) -> list[str]:
    """Multiply a number below 0, where a leaky ReLU follows."""
    return block(f"if ({number} < 0.0f)", [f"{number} = @product({number}, a->bend);"]) if bent else []
