"""ATen calls that move the batch, join or cut it, or work beside it: samples in, samples out. No torch import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from converters import batch_axis
from converters.batch_axis import Place, Sample
from converters.builder import Act, Const, Site, Unsupported, Value
from converters.decompose import tensors
from converters.decompose.einsum import einsum, parsed
from converters.decompose.shapes import BATCH_HINT, reshape
from converters.torch.call import Call, operand
from converters.torch.moved import Moved, level, operands, places_of, tensor_names


def elementwise(c: Moved, decide: Callable[..., Place] = batch_axis.broadcast) -> Any:
    """A rule with broadcasting; ``decide`` says from shapes and places where the batch of the result is."""
    names = tensor_names(c)
    values = operands(c, names)
    places = places_of(values)
    place = decide([c.shape(v) for v in values], places) if any(places) else None
    return c.apply(place, level(c, names))


def _product(c: Moved) -> Any:
    return elementwise(c, batch_axis.product)


def _added_product(c: Moved) -> Any:
    product, rank = ("batch1", "batch2"), 3
    sides = operands(c, product)
    place = batch_axis.product([c.shape(v) for v in sides], places_of(sides))
    added = operand(c.args["self"])
    sizes = [1] * rank
    sizes[place.axis] = place.size
    batch_axis.broadcast([sizes, c.shape(added)], [place, *places_of([added])])
    return c.apply(place, level(c, (*product, "self")))


def _attention(c: Moved) -> Any:
    place, rank = c.x.place, c.rank
    if place is not None and place.axis >= rank - 2:
        raise Unsupported(BATCH_HINT)
    return elementwise(c)


def along(c: Moved) -> Any:
    """A rule of operations along some axes, all of them where none is named."""
    dims = c.args["dim"]
    axes = [dims] if isinstance(dims, int) else list(dims or range(c.rank))
    axes = [a % max(1, c.rank) for a in axes]
    dropped = c.args.get("keepdim") is False or c.name in ("select", "unbind")
    others = {v.place for v in c.args.values() if isinstance(v, Sample)}
    if len(others) > 1:
        raise Unsupported(BATCH_HINT)
    place = None if c.x.place is None else batch_axis.kept(c.x.place, axes, dropped)
    return c.apply(place, {"dim": axes if not isinstance(dims, int) else axes[0]})


def _reduce_all(c: Moved) -> Any:
    return along(replace(c, args={**c.args, "dim": None, "keepdim": False}))


def _reduction(c: Moved) -> Any:
    return along(c) if "dim" in c.args else _reduce_all(c)


def images(c: Moved) -> Any:
    """A rule of operations on (N, C, ...), one by one where the batch is merged with a number."""
    name = next((k for k, v in c.args.items() if isinstance(v, Sample)), None)
    if name is None:
        raise Unsupported(BATCH_HINT)
    if sum(isinstance(v, Sample) for v in c.args.values()) > 1:
        raise Unsupported("its parameters must be constants")
    place = c.x.place
    if place is not None and place.axis != 0:
        raise Unsupported(BATCH_HINT)
    shape = (None, *c.sized(place)[1:]) if c.results else None
    single = True

    def one(site: Site, image: Act) -> Any:
        nonlocal single
        made = c.rule(Call(c.b, site, {**c.args, name: image}, shape))
        single = isinstance(made, Act | Const)
        # What is made only once it is asked for is for a batch that is in front.
        return made if isinstance(made, Act | Const) else [part for part in made if not callable(part)]

    made = batch_axis.image_by_image(c.b, c.inner_site(place), c.x, one)
    found = [
        replace(c, site=c.site if i == 0 else c.site.sub(str(i))).made(v, place) for i, v in enumerate(made)
    ]
    return found[0] if single else found


def _reshape(c: Moved) -> Act:
    sizes, slopes = c.results[0]
    place = c.x.place
    if place is not None:
        marked = [i for i, slope in enumerate(slopes) if slope]
        if c.batch is None and len(marked) != 1:
            raise Unsupported(BATCH_HINT)
        axis = marked[0] if marked else None
        sizes, place = batch_axis.reshape_target(c.shape(c.x), place, sizes, c.batch or 1, axis)
    return c.made(reshape(c.b, c.inner_site(place), Act(c.x.tensor), sizes), place)


def _permute(c: Moved) -> Act:
    if "dims" in c.args:
        order = [d % c.rank for d in c.args["dims"]]
    elif c.name == "t":
        order = list(reversed(range(c.rank)))
    else:
        order = list(range(c.rank))
        first, second = c.axis("dim0"), c.axis("dim1")
        order[first], order[second] = second, first
    place = None if c.x.place is None else batch_axis.permuted(c.x.place, order)
    return c.made(batch_axis.transpose_sample(c.b, c.inner_site(place), c.x, order), place)


def _join(c: Moved, values: Sequence[Value], axis: int) -> Act:
    places = places_of(values)
    place = batch_axis.joined([c.shape(v) for v in values], places, axis) if any(places) else None
    plain = [Act(v.tensor) if isinstance(v, Act) else v for v in values]
    return c.made(tensors.join(c.b, c.inner_site(place), plain, axis + 1), place)


def _cat(c: Moved) -> Act:
    values = [operand(v) for v in c.args["tensors"]]
    values = [v for v in values if not isinstance(v, Const) or v.array.size]
    rank = max(len(c.shape(v)) for v in values)
    return _join(c, values, c.axis("dim", rank))


def _stack(c: Moved) -> Act:
    values = [operand(v) for v in c.args["tensors"]]
    rank = len(c.shape(values[0]))
    axis = c.axis("dim", rank + 1)
    apart: list[Value] = []
    for i, value in enumerate(values):
        sizes = c.shape(value)
        sizes.insert(axis, 1)
        if isinstance(value, Const):
            apart.append(Const(value.array.reshape(sizes)))
            continue
        part = reshape(c.b, c.site.sub(f"part{i}"), Act(value.tensor), sizes)
        place = value.place if isinstance(value, Sample) else None
        shifted = replace(place, axis=place.axis + 1) if place and place.axis >= axis else place
        apart.append(Sample(part.tensor, shifted))
    return _join(c, apart, axis)


def _slice(c: Moved) -> Any:
    place, axis = c.x.place, c.axis("dim")
    if place is None or axis != place.axis:
        if c.counted:
            raise Unsupported("a number it needs depends on the batch size")
        return along(c)
    count, start = c.batches(0, axis), c.args["start"] or 0
    if count == place.size:
        return c.made(Act(c.x.tensor), place)
    # Whole batches of several that were joined.
    if place.after != 1 or start % (c.batch or 1):
        raise Unsupported(BATCH_HINT)
    start //= c.batch or 1
    kept = replace(place, before=count)
    part = tensors.slice_axis(c.b, c.inner_site(kept), Act(c.x.tensor), axis + 1, start, count)
    return c.made(part, kept)


def _split(c: Moved) -> Any:
    place, axis = c.x.place, c.axis("dim")
    if place is None or axis != place.axis:
        if c.counted:
            raise Unsupported("a number it needs depends on the batch size")
        return along(c)
    counts = [c.batches(i, axis) for i in range(len(c.results))]
    if place.after != 1:
        raise Unsupported(BATCH_HINT)
    parts, start = [], 0
    for i, count in enumerate(counts):
        kept = replace(place, before=count)
        part = replace(c, site=c.site.sub(str(i)))
        made = tensors.slice_axis(c.b, part.inner_site(kept), Act(c.x.tensor), axis + 1, start, count)
        parts.append(part.made(made, kept))
        start += count
    return parts


def _expand(c: Moved) -> Act:
    place = c.x.place
    if place is not None:
        place = replace(place, axis=place.axis + len(c.results[0][0]) - c.rank)
    sizes = c.sized(place)
    x = reshape(c.b, c.site.sub("level"), Act(c.x.tensor), [1] * (len(sizes) - c.rank) + c.shape(c.x))
    return c.made(tensors.expand(c.b, c.inner_site(place), x, sizes), place)


def _repeat(c: Moved) -> Act:
    repeats = list(c.args["repeats"] if "repeats" in c.args else c.args["dims"])
    shift = len(repeats) - c.rank
    place = None if c.x.place is None else replace(c.x.place, axis=c.x.place.axis + shift)
    if not all(isinstance(r, int) for r in repeats) or shift < 0 or (place and repeats[place.axis] != 1):
        raise Unsupported(BATCH_HINT)
    x = reshape(c.b, c.site.sub("level"), Act(c.x.tensor), [1] * shift + c.shape(c.x))
    return c.made(tensors.tile(c.b, c.inner_site(place), x, repeats), place)


def _index(c: Moved) -> Any:
    indices = list(c.args["indices"])
    used = [i for i, v in enumerate(indices) if v is not None]
    place = c.x.place
    if place is not None:
        if len(used) != 1 or not isinstance(indices[used[0]], Const):
            raise Unsupported(BATCH_HINT)
        more = indices[used[0]].array.ndim - 1
        place = batch_axis.kept(place, used)
        place = replace(place, axis=place.axis + (more if place.axis > used[0] else 0))
    return c.apply(place, {"indices": [None, *indices]})


def _einsum(c: Moved) -> Act:
    """The batch stays where its letter is: of everything computed, of the result, and of no constant."""
    values = [operand(v) for v in c.args["tensors"]]
    inputs, output = parsed(c.args["equation"], [len(c.shape(v)) for v in values])
    marked, others = set(), ""
    for value, letters in zip(values, inputs, strict=True):
        place = value.place if isinstance(value, Sample) else None
        if place is None:
            others += letters
        else:
            marked.add((letters[place.axis], replace(place, axis=0)))
    place = None
    if marked:
        letter, kept = marked.pop()
        if marked or letter in others or letter not in output:
            raise Unsupported(BATCH_HINT)
        place = replace(kept, axis=output.index(letter))
    plain = [Act(v.tensor) if isinstance(v, Act) else v for v in values]
    return c.made(einsum(c.b, c.inner_site(place), plain, c.args["equation"], 1), place)


def _new(c: Moved) -> Any:
    """Rule of new constants: a single number by itself, any other shape by ``images``."""
    return images(c) if c.results[0][0] else c.rule(Call(c.b, c.site, c.args, ()))


def _linear(c: Moved) -> Any:
    if c.x.place is not None and c.x.place.axis == c.rank - 1:
        raise Unsupported(BATCH_HINT)
    return c.apply(c.x.place)


def _layer_norm(c: Moved) -> Any:
    if c.x.place is not None and c.x.place.axis >= c.rank - len(c.args["normalized_shape"]):
        raise Unsupported(BATCH_HINT)
    return c.apply(c.x.place)


def _batch_norm(c: Moved) -> Any:
    place = None if c.x.place is None else batch_axis.kept(c.x.place, [1])
    return c.apply(place, {"lead": 1})


def _pad(c: Moved) -> Any:
    touched = {c.rank - 1 - i // 2 for i, amount in enumerate(c.args["pad"]) if amount}
    return c.apply(None if c.x.place is None else batch_axis.kept(c.x.place, sorted(touched)))


def _shifted(c: Moved) -> Any:
    """Rule of flip and roll."""
    axes = [d % c.rank for d in c.args["dims"]]
    return c.apply(None if c.x.place is None else batch_axis.kept(c.x.place, axes))


MOVES: dict[str, Callable[[Moved], Any]] = {
    **dict.fromkeys(
        ("view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"), _reshape
    ),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    **dict.fromkeys(("split", "split_with_sizes"), _split),
    **dict.fromkeys(("mm", "bmm", "matmul"), _product),
    **dict.fromkeys(("linear", "addmm"), _linear),
    **dict.fromkeys(("layer_norm", "native_layer_norm"), _layer_norm),
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    **dict.fromkeys(("flip", "roll"), _shifted),
    **dict.fromkeys(("new_zeros", "zeros", "new_ones", "ones", "new_full", "full"), _new),
    **dict.fromkeys(("repeat", "tile"), _repeat),
    **dict.fromkeys(("mean", "sum", "max", "min", "amax", "amin", "prod", "any", "all"), _reduction),
    "baddbmm": _added_product,
    "scaled_dot_product_attention": _attention,
    "cat": _cat,
    "einsum": _einsum,
    "stack": _stack,
    "slice": _slice,
    "expand": _expand,
    "index": _index,
}
