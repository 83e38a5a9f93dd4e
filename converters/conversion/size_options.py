"""``--shape`` and ``--dim``: sizes that an ONNX file leaves open, for every command that opens one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click


class _Shape(click.ParamType):
    """The option INPUT=1x3x480x640, a ``?`` for a dimension that is not given, parsed as (name, sizes)."""

    name = "INPUT=1x3x480x640"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        name, equals, text = value.rpartition("=")
        sizes = text.lower().split("x")
        if not (equals and name and all(size == "?" or size.isdecimal() for size in sizes)):
            self.fail(f"{value!r} is not of the form INPUT=1x3x480x640", param, ctx)
        return name, tuple(None if size == "?" else int(size) for size in sizes)


class _Dimension(click.ParamType):
    """The option NAME=160, parsed as (name, size)."""

    name = "NAME=160"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        name, equals, size = value.rpartition("=")
        if not (equals and name and size.isdecimal()):
            self.fail(f"{value!r} is not of the form NAME=160", param, ctx)
        return name, int(size)


def _by_name(_ctx: click.Context, param: click.Parameter, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise click.BadParameter(f"{name!r} is given more than once", param=param)
    return dict(pairs)


def size_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments ``shapes`` and ``dims``, as ``from_onnx`` takes them."""
    shape = click.option(
        "--shape",
        "shapes",
        type=_Shape(),
        metavar=_Shape.name,
        multiple=True,
        callback=_by_name,
        help="Of an ONNX model: the shape of an input that leaves dimensions open. Repeatable.",
    )
    dim = click.option(
        "--dim",
        "dims",
        type=_Dimension(),
        metavar=_Dimension.name,
        multiple=True,
        callback=_by_name,
        help="Of an ONNX model: the size of the open dimension of this name. Repeatable.",
    )
    return shape(dim(command))
