"""Sizes of tensors, and operations that only rearrange their numbers."""

from __future__ import annotations

from collections.abc import Sequence

from converters.builder import Act, GraphBuilder, Site, Unsupported

BATCH_HINT = "works across the batch (dimension 0), which must stay as it is"


def axis_of(axis: int, rank: int) -> int:
    """``axis`` counted from the front; Unsupported if it is the batch."""
    front = axis + rank if axis < 0 else axis
    if not 0 <= front < rank:
        raise Unsupported(f"axis {axis} does not exist in a tensor of {rank} dimensions")
    if front == 0:
        raise Unsupported(BATCH_HINT)
    return front


def pair(value: int | Sequence[int]) -> list[int]:
    """One number for both directions, or one for each."""
    values = [value] if isinstance(value, int) else [int(v) for v in value]
    if len(values) not in (1, 2):
        raise Unsupported(f"only two-dimensional windows are supported, got {values}")
    return values * 2 if len(values) == 1 else values


def sizes_of(b: GraphBuilder, x: Act) -> list[int]:
    """Sizes behind the batch."""
    return [int(d or 0) for d in b.shapes[x.tensor][1:]]


def image_size(b: GraphBuilder, x: Act) -> tuple[int, int]:
    """Height and width of an image tensor; Unsupported for anything else."""
    shape = b.shapes[x.tensor]
    if len(shape) != 4:
        raise Unsupported(f"only images (N, C, H, W) are supported here, got {shape}")
    return int(shape[2] or 0), int(shape[3] or 0)


def reshape(b: GraphBuilder, site: Site, x: Act, target: Sequence[int]) -> Act:
    """Reshape to ``target``, which is without the batch and fully known."""
    shape = tuple(target)
    if b.shapes[x.tensor][1:] == shape:
        return x
    if len(shape) == 1:
        return b.node("flatten", site, [x.tensor])
    if any(d < 1 for d in shape):
        raise Unsupported("tensors without elements are not supported")
    return b.node("reshape", site, [x.tensor], {"shape": list(shape)})


def transpose(b: GraphBuilder, site: Site, x: Act, perm: Sequence[int]) -> Act:
    """Reorder dimensions; the batch stays in front."""
    rank = len(b.shapes[x.tensor])
    order = [p + rank if p < 0 else p for p in perm]
    if order == list(range(rank)):
        return x
    if order[0] != 0:
        raise Unsupported(BATCH_HINT)
    return b.node("transpose", site, [x.tensor], {"perm": order})


def depth_to_space(b: GraphBuilder, site: Site, x: Act, block: Sequence[int], depth_first: bool) -> Act:
    """(N, C · r · s, H, W) → (N, C, H · r, W · s).

    Channels come as C blocks of r · s numbers, or, if ``depth_first``, as r · s blocks of C.
    """
    image_size(b, x)
    channels, (r, s) = sizes_of(b, x)[0], block
    if channels % (r * s):
        raise Unsupported(f"{channels} channels cannot be arranged in blocks of {r} x {s}")
    return _blocks(b, "depth_to_space", site, x, block, depth_first)


def space_to_depth(b: GraphBuilder, site: Site, x: Act, block: Sequence[int], depth_first: bool) -> Act:
    """The inverse of ``depth_to_space``: (N, C, H · r, W · s) → (N, C · r · s, H, W)."""
    (height, width), (r, s) = image_size(b, x), block
    if height % r or width % s:
        raise Unsupported(f"an image of {height} x {width} cannot be cut into blocks of {r} x {s}")
    return _blocks(b, "space_to_depth", site, x, block, depth_first)


def _blocks(b: GraphBuilder, op: str, site: Site, x: Act, block: Sequence[int], depth_first: bool) -> Act:
    if list(block) == [1, 1]:
        return x
    attrs = {"block": list(block), "depth_first": depth_first}
    return b.node(op, site, [x.tensor], attrs if depth_first else {"block": list(block)})
