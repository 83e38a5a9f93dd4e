"""Where the batch is, in tensors that do not have it in front: moved behind other axes, or merged into one of them.

The graph's tensors always have the batch as dimension 0. Where the source network moves it, a tensor of the graph
holds, image by image, what the source computes of one image: all its axes, with the batch counted as one. That is right
as long as images do not mix, which is what the functions here decide: given where the batch is in an operation's
inputs, where it is in the result, or Unsupported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.elementwise import materialize
from converters.decompose.shapes import BATCH_HINT, reshape, transpose
from converters.decompose.tensors import join, slice_axis

#: Whether dimension 0 of the source's tensors is the graph's batch, or a dimension like any other.
Batch = Literal["free", "fixed"]

#: An operation that only takes images is applied to so many of them at most, one by one.
MOST_IMAGES = 64


@dataclass(frozen=True)
class Place:
    """The axis of the source's tensor that holds the batch, as ``before`` x batch x ``after`` in that order."""

    axis: int
    before: int = 1
    after: int = 1

    @property
    def size(self) -> int:
        """The axis's size for each image of the batch."""
        return self.before * self.after


FRONT = Place(0)


@dataclass(frozen=True)
class Sample(Act):
    """A graph tensor (N, ...) whose dimensions behind N are the source's, with the batch counted as one.

    ``place``: where the source has the batch; None if N is nowhere in the source's tensor.
    """

    place: Place | None = None


@dataclass(frozen=True)
class Spread(Const):
    """A constant of the batch's size: ``array`` for a batch of one, ``doubled`` for one of two images."""

    doubled: np.ndarray = field(default_factory=lambda: np.empty(0))
    place: Place | None = None


def spread(one: Const, two: Const) -> Const:
    """A constant of the batch's size, from its values for one image and for two; Unsupported if images differ."""
    a, b = one.array, two.array
    if _alike(a, b):
        return one
    axes = [i for i in range(a.ndim) if a.shape[i] != b.shape[i]] if a.ndim == b.ndim else []
    if len(axes) == 1:
        axis = axes[0]
        count = a.shape[axis]
        if _alike(np.repeat(a, 2, axis), b):
            return Spread(a, one.name, b, Place(axis, count))
        if _alike(np.concatenate([a, a], axis), b):
            return Spread(a, one.name, b, Place(axis, 1, count))
    raise Unsupported("the constant is not the same for every image of the batch")


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays hold the same numbers, up to the rounding of products of several sizes."""
    if np.array_equal(a, b):
        return True
    if a.shape != b.shape or a.dtype.kind != "f":
        return False
    return np.allclose(a, b, rtol=0, atol=1e-6 * np.abs(a).max())


def materialized(b: GraphBuilder, site: Site, value: Spread) -> Act:
    """A constant of the batch's size as a tensor of the graph."""
    array, rank = value.array, value.array.ndim
    if is_plain(value.place):
        return materialize(b, site, Const(array[0]), rank)
    return Sample(materialize(b, site, Const(array), rank + 1).tensor, value.place)


Places = Sequence[Place | None]


def fixed_batch_hint(error: Exception) -> str:
    """The hint that an error adds if it is only about the batch; else none."""
    text = str(error)
    return (
        "; or convert with batch='fixed' (--batch fixed)"
        if "batch" in text and "statistics" not in text and "fixed'" not in text
        else ""
    )


def sample_of(b: GraphBuilder, x: Act) -> Sample:
    """A tensor with the batch in front in the form of a sample."""
    if isinstance(x, Sample):
        return x
    sizes = [int(d or 0) for d in b.shapes[x.tensor][1:]]
    site = Site(f"{x.tensor}.sample", f"{x.tensor}.sample")
    return Sample(reshape(b, site, x, [1, *sizes]).tensor, FRONT)


def is_plain(place: Place | None) -> bool:
    """Whether the batch is dimension 0, as in the graph."""
    return place == FRONT


def plain(b: GraphBuilder, site: Site, x: Sample) -> Act:
    """The graph's tensor of a sample that has the batch in front."""
    return reshape(b, site, Act(x.tensor), [int(d or 0) for d in b.shapes[x.tensor][2:]])


def batched(shape: Sequence[int], place: Place | None, batch: int) -> list[int]:
    """The source's shape for a batch, from the shape with the batch counted as one."""
    return [size * batch if place and i == place.axis else size for i, size in enumerate(shape)]


def kept(place: Place, axes: Sequence[int], dropped: bool = False) -> Place:
    """The batch's place behind an operation along some axes, which are then gone if ``dropped``."""
    if place.axis in axes:
        raise Unsupported(BATCH_HINT)
    return replace(place, axis=place.axis - sum(a < place.axis for a in axes)) if dropped else place


def broadcast(shapes: Sequence[Sequence[int]], places: Places) -> Place:
    """The batch's place behind arithmetic with broadcasting; what has no batch must be the same for every image."""
    rank = max(map(len, shapes))
    aligned = {
        replace(place, axis=place.axis + rank - len(shape))
        for shape, place in zip(shapes, places, strict=True)
        if place
    }
    if len(aligned) != 1:
        raise Unsupported("it combines tensors that have the batch in different axes")
    (found,) = aligned
    for shape, place in zip(shapes, places, strict=True):
        own = found.axis - (rank - len(shape))
        if place is None and own >= 0 and shape[own] != 1:
            raise Unsupported("the constant has a batch dimension of its own")
    return found


def product(shapes: Sequence[Sequence[int]], places: Places) -> Place:
    """The batch's place behind a matrix product (..., n, k) · (..., k, m)."""
    ranks = [len(shape) for shape in shapes]
    if min(ranks) < 2:
        raise Unsupported(BATCH_HINT)
    inner = (ranks[0] - 1, ranks[1] - 2)
    if any(place and place.axis == axis for place, axis in zip(places, inner, strict=True)):
        raise Unsupported(BATCH_HINT)
    hidden = [list(shape) for shape in shapes]
    for shape, axis in zip(hidden, inner, strict=True):
        shape[axis] = 1
    return broadcast(hidden, places)


def permuted(place: Place, order: Sequence[int]) -> Place:
    """The batch's place behind a transposition."""
    return replace(place, axis=list(order).index(place.axis))


def joined(shapes: Sequence[Sequence[int]], places: Places, axis: int) -> Place:
    """The batch's place behind a concatenation, which may be of batches."""
    known = [place for place in places if place]
    if any(place.axis == axis for place in known):
        if len(known) < len(places) or any(
            place != replace(FRONT, axis=axis, before=place.before) for place in known
        ):
            raise Unsupported(BATCH_HINT)
        return Place(axis, sum(place.before for place in known))
    hidden = [[1 if i == axis else d for i, d in enumerate(shape)] for shape in shapes]
    return broadcast(hidden, places)


def reshaped(shape: Sequence[int], place: Place, target: Sequence[int], axis: int) -> Place | None:
    """The batch's place behind a reshape to ``target``, whose ``axis`` holds the batch; None if it cannot.

    Both shapes are with the batch counted as one.
    """
    outer, inner = (
        math.prod(shape[: place.axis]) * place.before,
        math.prod(shape[place.axis + 1 :]) * place.after,
    )
    front, behind = math.prod(target[:axis]), math.prod(target[axis + 1 :])
    if outer % front or inner % behind or outer * inner != math.prod(target):
        return None
    found = Place(axis, outer // front, inner // behind)
    return found if found.size == target[axis] else None


def reshape_target(
    shape: Sequence[int], place: Place, wanted: Sequence[int], batch: int, marked: int | None
) -> tuple[list[int], Place]:
    """The result of a reshape: its shape with the batch counted as one, and where the batch is.

    Args:
        shape, place: of the input.
        wanted: the target for a batch of ``batch``; -1 for one that follows from the others.
        batch: the number the source's sizes are for.
        marked: the axis known to hold the batch, if there is one.
    """
    total = math.prod(shape)
    open_axis = list(wanted).index(-1) if -1 in wanted else None
    possible: list[tuple[list[int], Place]] = []
    for axis in range(len(wanted)) if marked is None else [marked]:
        sizes = list(wanted)
        if axis != open_axis:
            if sizes[axis] % batch:
                continue
            sizes[axis] //= batch
        if open_axis is not None:
            known = math.prod(d for d in sizes if d != -1)
            if known < 1 or total % known:
                continue
            sizes[open_axis] = total // known
        found = None if min(sizes, default=1) < 1 else reshaped(shape, place, sizes, axis)
        if found is not None:
            possible.append((sizes, found))
    if not possible:
        raise Unsupported(BATCH_HINT)
    # A model for a batch of one does not tell. Features, the last axis, hardly hold it; what was merged is taken apart;
    # it moves by transposition.
    last, folded = len(wanted) - 1, place.size > 1

    def oddity(pair: tuple[list[int], Place]) -> tuple[bool, bool, bool, int]:
        found = pair[1]
        return found.axis == last, folded and found.size > 1, found.axis != place.axis, found.size

    return min(possible, key=oddity)


def transpose_sample(b: GraphBuilder, site: Site, x: Sample, order: Sequence[int]) -> Act:
    """The axes of a sample in another order; one of size 1 that holds the batch is not moved in memory."""
    sizes = [int(d or 0) for d in b.shapes[x.tensor][1:]]
    moved = [a for a in order if sizes[a] != 1]
    if moved == sorted(moved):
        return reshape(b, site, Act(x.tensor), [sizes[a] for a in order])
    left = sorted(moved)
    dense = reshape(b, site.sub("dense"), Act(x.tensor), [sizes[a] for a in left])
    transposed = transpose(b, site.sub("transposed"), dense, [0, *(1 + left.index(a) for a in moved)])
    return reshape(b, site, transposed, [sizes[a] for a in order])


def image_by_image(
    b: GraphBuilder, site: Site, x: Act, rule: Callable[[Site, Act], Value | Sequence[Value]]
) -> list[Act]:
    """A rule for tensors with the batch in front, applied to each entry of a sample's first axis; all its results."""
    count, *rest = [int(d or 0) for d in b.shapes[x.tensor][1:]]
    if count > MOST_IMAGES:
        raise Unsupported(
            f"it takes one image at a time, of {count} for each of the batch; {MOST_IMAGES} at most"
        )
    found: list[list[Value]] = []
    for i in range(count):
        part = f"{i}" if count > 1 else ""
        one = slice_axis(b, site.sub(f"image{part}"), Act(x.tensor), 1, i, 1)
        made = rule(site.sub(f"one{part}"), reshape(b, site.sub(f"in{part}"), one, rest))
        found.append(list(made) if isinstance(made, Sequence) else [made])
    results = enumerate(zip(*found, strict=True))
    return [_stacked(b, site if k == 0 else site.sub(f"result{k}"), values) for k, values in results]


def _stacked(b: GraphBuilder, site: Site, values: Sequence[Value]) -> Act:
    parts: list[Value] = []
    for i, value in enumerate(values):
        assert isinstance(value, Act)
        shape = [1, *(int(d or 0) for d in b.shapes[value.tensor][1:])]
        parts.append(reshape(b, site if len(values) == 1 else site.sub(f"out{i}"), value, shape))
    return join(b, site, parts, 1)


def output_of(b: GraphBuilder, site: Site, x: Sample) -> tuple[Act, Layout]:
    """A sample as an output of the graph: the axis that holds nothing but the batch goes in front."""
    place = x.place
    if place is None or place.size != 1:
        return Act(x.tensor), Layout(place)
    sizes = [int(d or 0) for d in b.shapes[x.tensor][1:]]
    rest = sizes[: place.axis] + sizes[place.axis + 1 :]
    return reshape(b, site, Act(x.tensor), rest), Layout(place, True)


@dataclass(frozen=True)
class Layout:
    """How a tensor of the graph holds one of the source's: a sample of it, or one without the axis of the batch."""

    place: Place | None
    without_axis: bool = False

    def of(self, array: np.ndarray, batch: int) -> np.ndarray:
        """The graph's form of the source's value for a batch."""
        if self.place is None:
            return array[None]
        axis, place = self.place.axis, self.place
        apart = array.reshape(*array.shape[:axis], place.before, batch, place.after, *array.shape[axis + 1 :])
        front = np.moveaxis(apart, axis + 1, 0)
        size = () if self.without_axis else (place.size,)
        return front.reshape(batch, *array.shape[:axis], *size, *array.shape[axis + 1 :])
