"""Options that say how fast a pruned network has to be, and what came of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import click

from sparsenet.commands.options import FiniteRange
from sparsenet.text.quantities import time_text

_UNITS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "µs": 1e-3}


class _Duration(click.ParamType):
    """``3ms``, as milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse the text; a number that is parsed already passes."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(s|ms|us|µs)", value.strip())
        if not found or not float(found[1]):
            self.fail(f"'{value}' is no duration, for example 3ms", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


def deadline_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--latency or --speedup, and in which numbers."""
    options = [
        click.option("--latency", type=_Duration(), metavar="TIME",
                     help="With --scope latency or --calibrate: instead of --sparsity, what an inference may take here "
                     "on a thread: 3ms."),
        click.option("--speedup", type=FiniteRange(1), metavar="TIMES",
                     help="Or how many times as fast as dense it is to be. Both are measured here."),
        click.option("--int8", is_flag=True,
                     help="In 8-bit integers: with --scope latency, these milliseconds, dense and pruned; with "
                     "--calibrate the network itself, too, which the same inputs quantize as sparsenet quantize does."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def latency_text(found: Mapping[str, Any]) -> str:
    """What ``Masks.info`` says of the milliseconds that masks were found by."""
    dense, ms = found["dense_ms"], found["ms"]
    numbers = ", both in 8-bit integers" if found["int8"] else ""
    return (
        f"{time_text(dense / 1e3)} dense, {time_text(ms / 1e3)} with these zeros, measured on one thread when they "
        f"were spread{numbers}: {dense / ms:.3g} times as fast"
    )
