"""Fused ops in C: what is done to a tile of results before it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparsenet.graph.ops import ACTIVATIONS
from sparsenet.targets.c99.activations import EXPRESSIONS
from sparsenet.targets.family import Argument, signature

if TYPE_CHECKING:
    from sparsenet.targets.c99.kernel import Kernel

#: Fused op → its arguments. ``mean``: the results are not stored, their mean over the map is.
ARGUMENTS: dict[str, tuple[Argument, ...]] = {
    "affine": signature("*scale:f32 *shift:f32"),
    "add": signature("residual_channel"),
    "mean": signature("rows share:f32"),
    **{
        op: tuple(Argument(name, "number") for name in activation.parameters)
        for op, activation in ACTIVATIONS.items()
    },
}

#: Pixels from which on compilers make vectors of them.
LEAST_VECTOR = 4


def residuals(kernel: Kernel) -> list[int]:
    """The steps that add a tensor."""
    return [step for step, op in enumerate(kernel.fused) if op == "add"]


def opened(kernel: Kernel) -> list[str]:
    """Numbers of the fused ops as variables: a member of a struct might change with each number that is stored."""
    lines = []
    for step, op in enumerate(kernel.fused):
        if op in ACTIVATIONS:
            lines += [f"const float {name}{step} = a->{name}_{step};" for name in ACTIVATIONS[op].parameters]
    return lines


def open_residuals(kernel: Kernel, rows: str, column: str) -> list[str]:
    """Pointers to what is added: rows behind those of the window, from ``column`` on."""
    return [
        f"const float *r{step} = (const float *)rows[{rows} + {place}] + {column};"
        for place, step in enumerate(residuals(kernel))
    ]


def advance_residuals(kernel: Kernel, channels: str = "") -> list[str]:
    """Move them to the next channel, or by some channels."""
    return [f"r{step} += {channels}a->residual_channel_{step};" for step in residuals(kernel)]


def finish(kernel: Kernel, numbers: Sequence[str], channel: str, residual: str = "") -> list[str]:
    """Statements that apply the fused ops to ``numbers``, neighbouring pixels of one channel.

    Args:
        kernel: with the fused ops.
        numbers: names of the results.
        channel: the channel's number, in C.
        residual: what to add to the pointers of what is added, in C, ``{step}`` being the number of the op.
    """
    lines = []
    for step, op in enumerate(kernel.fused):
        if op == "affine":
            lines.append(
                f"const float scale{step} = a->scale_{step}[{channel}], shift{step} = a->shift_{step}[{channel}];"
            )
            lines += [f"{x} = $FMA({x}, scale{step}, shift{step});" for x in numbers]
        elif op == "add":
            pointer = f"(r{step} + {residual.format(step=step)})" if residual else f"r{step}"
            lines += [f"{x} += {pointer}[{place}];" for place, x in enumerate(numbers)]
        elif op != "mean":
            names = {name: f"{name}{step}" for name in ACTIVATIONS[op].parameters}
            each = [f"{x} = {EXPRESSIONS[op].format(x=x, **names)};" for x in numbers]
            lines += each if len(numbers) < LEAST_VECTOR else _by_vectors(op, names, numbers, each)
    return lines


def _by_vectors(op: str, names: dict[str, str], numbers: Sequence[str], each: list[str]) -> list[str]:
    """A choice between two numbers is made by vectors if it is written as a loop, sums and products in any case."""
    count = len(numbers)
    return [
        "#ifdef $VECTORS",
        "{",
        f"    float tile[{count}] = {{{', '.join(numbers)}}};",
        f"    for (uint32_t t = 0; t < {count}u; ++t) {{",
        f"        tile[t] = {EXPRESSIONS[op].format(x='tile[t]', **names)};",
        "    }",
        *(f"    {x} = tile[{t}];" for t, x in enumerate(numbers)),
        "}",
        "#else",
        *each,
        "#endif",
    ]
