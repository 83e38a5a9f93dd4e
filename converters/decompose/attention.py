"""Attention: softmax(q · kᵀ · scale + mask) · v (Vaswani et al. 2017, eq. 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.activations import softmax
from converters.decompose.elementwise import binary, scalar
from converters.decompose.shapes import reshape, sizes_of, transpose
from converters.decompose.tensors import expand

#: The magnitude that keeps a key out of a softmax of float32 scores.
_FAR = np.float32(1e30)


@dataclass(frozen=True)
class Mask:
    """A mask of attention: what is added to the scores, or, ``logical``, which keys each query sees."""

    values: Value
    logical: bool


def window(queries: int, keys: int, left: int = -1, right: int = -1) -> Mask:
    """A mask: query i sees the keys i - ``left`` to i + ``right``; all to that side where the number is negative."""
    ahead = np.arange(keys) - np.arange(queries)[:, None]
    seen = np.ones_like(ahead, bool)
    if left >= 0:
        seen &= ahead >= -left
    if right >= 0:
        seen &= ahead <= right
    return Mask(Const(seen), True)


def attention(
    b: GraphBuilder,
    site: Site,
    sides: Sequence[Value],
    *,
    scale: float | None = None,
    masks: Sequence[Mask] = (),
    softcap: float = 0.0,
    lead: int = 0,
) -> Act:
    """Attention (..., queries, width of v) for queries, keys and values (..., n, width), ``sides`` in that order.

    A query that sees no key gives zeros.

    Args:
        scale: of the products; 1 / √width where there is none.
        masks: all of them count.
        softcap: scores are squeezed between minus and plus this number, unless it is 0.
        lead: dimensions of the tensors that the source network does not know, in front of its batch.
    """
    query, key, value = sides
    if not isinstance(key, Act):
        raise Unsupported("the keys of attention must depend on the input")
    shape = b.shapes[key.tensor]
    rank = len(shape)
    turned = transpose(b, site.sub("keys"), key, [*range(rank - 2), rank - 1, rank - 2])

    def apply(op: str, left: Value, right: Value, part: str) -> Act:
        return binary(b, site.sub(part) if part else site, op, left, right, lead)

    factor = 1 / math.sqrt(int(shape[-1] or 1)) if scale is None else scale
    scores = apply("mul", apply("matmul", query, turned, "products"), scalar(factor), "scores")
    if softcap:
        share = apply("div", scores, scalar(softcap), "share")
        squeezed = b.node("tanh", site.sub("squeezed"), [share.tensor])
        scores = apply("mul", squeezed, scalar(softcap), "capped")
    seen: list[Value] = []
    for i, mask in enumerate(masks):
        added = mask.values
        if mask.logical:
            hidden, added = _hidden(b, site.sub(f"hidden{i}"), mask.values, lead)
            seen += hidden
        scores = apply("add", scores, added, f"masked{i}")
    weights = softmax(b, site.sub("weights"), scores, len(b.shapes[scores.tensor]) - 1)
    for i, mask_values in enumerate(seen):
        weights = apply("mul", weights, mask_values, f"seen{i}")
    return apply("matmul", weights, value, "")


def _hidden(b: GraphBuilder, site: Site, seen: Value, lead: int) -> tuple[list[Value], Value]:
    """The factor of the weights, where a query may see nothing, and what is added to the scores."""
    if isinstance(seen, Const):
        one = seen.array.astype(np.float32)
        return [] if one.any(axis=-1).all() else [Const(one)], Const((one - 1) * _FAR)
    missing = binary(b, site.sub("missing"), "sub", seen, scalar(1.0), lead)
    return [seen], binary(b, site, "mul", missing, scalar(float(_FAR)), lead)


def repeated_heads(b: GraphBuilder, site: Site, x: Act, heads: int) -> Act:
    """(..., few, n, width) with each head repeated so often that there are ``heads``."""
    *front, few, rows, width = sizes_of(b, x)
    if few == heads:
        return x
    if heads % few:
        raise Unsupported(f"{heads} heads of queries do not share {few} heads of keys")
    apart = reshape(b, site.sub("apart"), x, [*front, few, 1, rows, width])
    each = expand(b, site.sub("each"), apart, [*front, few, heads // few, rows, width])
    return reshape(b, site, each, [*front, heads, rows, width])
