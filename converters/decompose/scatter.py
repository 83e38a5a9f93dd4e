"""Lowering of writing numbers over constant places of a tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.elementwise import binary
from converters.decompose.shapes import reshape
from converters.decompose.tensors import gather, join

#: Elements that a scattering at constant places may be split into.
LARGEST_SCATTER = 1 << 16


def scatter(
    b: GraphBuilder, site: Site, x: Value, updates: Value, places: np.ndarray, sizes: Sequence[int]
) -> Act:
    """``x`` of these sizes with each of ``updates`` in its place of ``places``, which are flat and all inside."""
    total = math.prod(sizes)
    source = np.arange(total)
    source[places] = total + np.arange(places.size)
    flat = [
        _flat(b, site.sub(p), v, n) for p, v, n in (("data", x, total), ("updates", updates, places.size))
    ]
    if (source >= total).all() and isinstance(flat[1], Act):
        flat, source = flat[1:], source - total  # nothing is left of what was there
    elif total > LARGEST_SCATTER:
        raise Unsupported(
            f"it writes into a tensor of {total} elements; up to {LARGEST_SCATTER} are supported"
        )
    y = gather(b, site.sub("flat"), join(b, site.sub("both"), flat, 1), 1, source)
    return reshape(b, site, y, sizes)


#: Numbers that may come together in one place.
MOST_TOGETHER = 64


def scatter_reduced(
    b: GraphBuilder,
    site: Site,
    x: Value,
    updates: Value,
    places: np.ndarray,
    sizes: Sequence[int],
    op: str,
) -> Act:
    """Scatter, where ``op``, "add" or "maximum" for instance, joins what is there with all that comes to a place.

    In rounds: the first number for each place, then the second, ...
    """
    total, count = math.prod(sizes), places.size
    order = np.argsort(places, kind="stable")
    first = np.flatnonzero(np.diff(places[order], prepend=-1))
    rank = np.arange(count) - np.repeat(first, np.diff(first, append=count))
    rounds = int(rank.max()) + 1
    if total > LARGEST_SCATTER or rounds > MOST_TOGETHER:
        raise Unsupported(
            f"it combines {rounds} numbers in one place of {total}; up to {MOST_TOGETHER} of {LARGEST_SCATTER} are "
            "supported"
        )
    neutral = Const(np.full(total, 1.0 if op == "mul" else 0.0, np.float32))
    result, new = (
        _flat(b, site.sub(part), v, n) for part, v, n in (("data", x, total), ("new", updates, count))
    )
    for i in range(rounds):
        # where nothing comes, what is there meets itself, or what changes nothing
        idle = result if op in ("maximum", "minimum") else neutral
        source, now = np.arange(total), order[rank == i]
        source[places[now]] = total + now
        if isinstance(idle, Act) or isinstance(new, Act):
            both = join(b, site.sub(f"both{i}"), [idle, new], 1)
            comes: Value = gather(b, site.sub(f"comes{i}"), both, 1, source)
        else:
            comes = Const(np.concatenate([idle.array, new.array])[source])
        result = binary(b, site.sub(f"round{i}"), op, result, comes)
    assert isinstance(result, Act)
    return reshape(b, site, result, sizes)


def _flat(b: GraphBuilder, site: Site, value: Value, size: int) -> Value:
    if isinstance(value, Const):
        return Const(value.array.reshape(-1).astype(np.float32), value.name)
    return reshape(b, site, value, [size])
