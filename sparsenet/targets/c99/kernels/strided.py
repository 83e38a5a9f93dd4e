"""Functions of tensors in C order whose axes are repeated, reordered or picked from at even distances.

``sizes`` are those of the result's axes; for each operand there is a table of how far its numbers are apart on each.
"""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented

#: Axes that a result may have once those that can be joined are.
MOST_AXES = 8
#: Operation of two numbers → its expression, by the number of the tile parameter.
OPERATIONS = {
    "add": "{x} + {y}",
    "sub": "{x} - {y}",
    "mul": "{x} * {y}",
    "div": "{x} / {y}",
    "pow": "powf({x}, {y})",
    "maximum": "{x} > {y} || {x} != {x} ? {x} : {y}",
    "minimum": "{x} < {y} || {x} != {x} ? {x} : {y}",
    "greater": "{x} > {y} ? 1.0f : 0.0f",
    "less": "{x} < {y} ? 1.0f : 0.0f",
    "equal": "{x} == {y} ? 1.0f : 0.0f",
}
#: Family → its operands.
_OPERANDS = {"f32_pick_none_flat": "p", "f32_broadcast_none_flat": "pq", "f32_where_none_flat": "cpq"}


def body(kernel: Kernel) -> list[str]:
    """Along the last axis; then the next number of the axes before it, as a clock goes."""
    names = _OPERANDS[kernel.family_name]
    expression = {"p": "*p", "cpq": "*c != 0.0f ? *p : *q"}.get(names)
    if expression is None:
        expression = list(OPERATIONS.values())[kernel.tile[0]].format(x="(*p)", y="(*q)")
    start = " + a->start" if names == "p" else ""
    step_back = [f"{n} -= (ptrdiff_t)a->{n}_strides[axis] * (ptrdiff_t)a->sizes[axis];" for n in names]
    return indented([
        *(f"const float *{n} = (const float *)rows[{i}]{start};" for i, n in enumerate(names)),
        "float *out = (float *)out_row;",
        f"int32_t index[{MOST_AXES}] = {{0}};",
        "const uint32_t last = a->axes - 1u;",
        "(void)y;",
        *block("for (;;)", [
            "uint32_t axis = last;",
            *block("for (int32_t i = 0; i < a->sizes[last]; ++i)", [
                f"*out++ = {expression};",
                *(f"{n} += a->{n}_strides[last];" for n in names),
            ]),
            *(f"{n} -= (ptrdiff_t)a->{n}_strides[last] * (ptrdiff_t)a->sizes[last];" for n in names),
            *block("for (;;)", [
                *block("if (axis == 0u)", ["return;"]),
                "--axis;",
                *(f"{n} += a->{n}_strides[axis];" for n in names),
                *block("if (++index[axis] < a->sizes[axis])", ["break;"]),
                "index[axis] = 0;",
                *step_back,
            ]),
        ]),
    ])  # fmt: skip
