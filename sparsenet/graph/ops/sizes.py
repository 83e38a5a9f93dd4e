"""Limits of sizes, and the checks that shape rules share.

Attributes may come from a file, so nothing about them is taken for granted: a ``ValueError`` says what does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparsenet.graph.types import Shape

#: Shapes of a node's own inputs, None for one that is absent.
Shapes = list[Shape | None]
#: A node's attributes, the schema's defaults filled in.
Attrs = Mapping[str, Any]

#: Dimensions of a tensor, in a graph and in a file. NumPy arrays have at most 64; a few more are added while one is
#: taken apart.
MAX_RANK = 32
#: Elements an expanded tensor may have for one image: a few bytes of file must not ask for all memory.
LARGEST_EXPANSION = 1 << 31
#: Elements of an axis whose numbers are computed: float32 holds whole numbers up to there.
LARGEST_INDEX = 1 << 24
LARGEST_FLOAT32 = 3.4028234663852886e38


def whole(value: Any, name: str, low: int, high: int) -> int:
    """``value``, which must be an integer in [low, high]."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, got {value!r}")
    return value


def wholes(value: Any, count: int, name: str, minimum: int) -> list[int]:
    """``value``, which must be a sequence of ``count`` integers of at least ``minimum``."""
    if (
        not isinstance(value, Sequence)
        or len(value) != count
        or any(not isinstance(v, int) or v < minimum for v in value)
    ):
        raise ValueError(f"{name} must be {count} integers >= {minimum}, got {value!r}")
    return list(value)


def present(shape: Shape | None) -> Shape:
    """The shape of an input that must be there."""
    if shape is None or not shape:
        raise ValueError("an input without dimensions")
    return shape


def batched(shape: Shape | None, role: str, rank: int) -> Shape:
    """The shape of an input that is no constant and has at least ``rank`` dimensions."""
    if shape is None or len(shape) < rank or shape[0] is not None:
        raise ValueError(f"{role} must be computed and have at least {rank} dimensions, got {shape}")
    return shape


def image(shape: Shape | None, role: str = "x") -> tuple[int, int, int]:
    """Channels, height and width of an input that must be an image."""
    if shape is None or len(shape) != 4:
        raise ValueError(f"{role} must be (N, C, H, W), got {shape}")
    return shape[1], shape[2], shape[3]  # type: ignore[return-value]


def axis_in(value: Any, shape: Shape) -> int:
    """An axis of ``shape`` that is not the batch."""
    if len(shape) < 2:
        raise ValueError(f"a tensor of shape {shape} has no axis but the batch")
    return whole(value, "axis", 1, len(shape) - 1)


def countable(size: int, what: str) -> int:
    """``size``, which must be few enough to be counted in float32."""
    if size > LARGEST_INDEX:
        raise ValueError(f"{what} are {size}, more than {LARGEST_INDEX} cannot be counted in float32")
    return size


def broadcast(shapes: Shapes, _attrs: Attrs) -> Shape:
    """NumPy's broadcasting rule over all inputs."""
    given = [shape if shape is not None else () for shape in shapes]
    rank = max(map(len, given))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in given]
    out: list[int | None] = []
    for sizes in zip(*padded, strict=True):
        others = {size for size in sizes if size != 1}
        if len(others) > 1:
            raise ValueError(f"shapes {' and '.join(map(str, padded))} do not broadcast")
        out.append(others.pop() if others else 1)
    return tuple(out)


def same(shapes: Shapes, _attrs: Attrs) -> Shape:
    """The shape of the first input."""
    assert shapes[0] is not None
    return shapes[0]
