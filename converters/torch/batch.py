"""ATen calls on tensors that do not have the batch in front → graph nodes. No torch import.

The rules of all operations are written for tensors with the batch as dimension 0. A sample (see ``batch_axis``) is such
a tensor too, of one dimension more: here is decided where an operation leaves the batch, and its rule sees axes that
count that dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from converters import batch_axis
from converters.batch_axis import Place, Sample, Spread
from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose import tensors
from converters.decompose.einsum import einsum, parsed
from converters.decompose.shapes import BATCH_HINT, reshape
from converters.torch.call import Call, Rule, operand
from converters.torch.ops import activations, arithmetic, choice, logic, reduce, shapes

#: Sizes of a result, and how many times the batch each of them is (all 0: the program is for one batch size).
Sizes = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Moved:
    """A call on samples: as ``torch_call.Call``, with samples among the arguments.

    ``name``: of the operation, without overload. ``batch``: what the program was traced with, None if that is open.
    ``results``: for each result its sizes for that batch, or for one of one, and how many times the open batch each of
    them is. ``counted``: numbers among the arguments depend on the batch, and are for one image.
    """

    b: GraphBuilder
    site: Site
    name: str
    rule: Rule
    args: dict[str, Any]
    results: Sequence[Sizes]
    batch: int | None
    counted: bool = False

    @property
    def x(self) -> Sample:
        """The sample the call works on."""
        value = next((v for v in self.args.values() if isinstance(v, Sample)), None)
        if value is None:
            raise Unsupported(BATCH_HINT)
        return value

    @property
    def rank(self) -> int:
        """Dimensions of ``x`` in the source."""
        return len(self.b.shapes[self.x.tensor]) - 1

    def shape(self, value: Value) -> list[int]:
        """The source's shape with the batch counted as one."""
        if isinstance(value, Const):
            return list(value.array.shape)
        return [int(d or 0) for d in self.b.shapes[value.tensor][1:]]

    def axis(self, name: str, rank: int | None = None) -> int:
        """An axis among the arguments, counted from the front."""
        return int(self.args[name]) % max(1, self.rank if rank is None else rank)

    def sized(self, place: Place | None, index: int = 0) -> list[int]:
        """Sizes of a result with the batch counted as one."""
        given, slopes = self.results[index]
        sizes = list(given)
        if place is not None and place.axis >= len(sizes):
            raise Unsupported(BATCH_HINT)
        if any(slope for i, slope in enumerate(slopes) if place is None or i != place.axis):
            raise Unsupported(BATCH_HINT)
        if place is not None:
            sizes[place.axis] = self.batches(index, place.axis)
        return sizes

    def batches(self, index: int, axis: int) -> int:
        """How many times the batch an axis of a result is; Unsupported if it is not a whole number of times."""
        (size, slope), batch = (part[axis] for part in self.results[index]), self.batch
        if size != slope if batch is None else size % batch:
            raise Unsupported(BATCH_HINT)
        return int(size if batch is None else size // batch)

    def made(self, x: Act, place: Place | None) -> Act:
        """The result: as the graph has it, if the batch is in front."""
        sample = Sample(x.tensor, place)
        return batch_axis.plain(self.b, self.site, sample) if batch_axis.is_plain(place) else sample

    def inner_site(self, place: Place | None) -> Site:
        """Where the node in front of ``made`` lands."""
        return self.site.sub("sample") if batch_axis.is_plain(place) else self.site

    def apply(self, place: Place | None, changed: Mapping[str, Any] | None = None) -> Any:
        """The operation's own rule, on tensors with one dimension more; some arguments may be ``changed``."""
        args = {k: _behind(k, v) for k, v in {**self.args, **(changed or {})}.items()}
        shape = (None, *self.sized(place)) if self.results else None
        made = self.rule(Call(self.b, self.inner_site(place), args, shape))
        if not isinstance(made, list):
            return self.made(made, place) if isinstance(made, Act) else made
        sites = [replace(self, site=self.site.sub(str(i))) for i in range(len(made))]
        return [s.made(v, place) if isinstance(v, Act) else v for s, v in zip(sites, made, strict=True)]


#: Arguments that are axes, or lists of them.
_AXES = ("dim", "dims", "dim0", "dim1")


def _behind(name: str, value: Any) -> Any:
    """An argument as the rule takes it for one dimension more."""
    if name in _AXES and isinstance(value, int):
        return value + 1 if value >= 0 else value
    if name in _AXES and isinstance(value, list):
        return [_behind(name, v) for v in value]
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return Act(value.tensor) if isinstance(value, Sample) else value


def across(call: Moved) -> Any:
    """What a call on samples gives.

    Raises:
        Unsupported: it mixes images of the batch, or has no counterpart.
    """
    if call.counted and call.name not in _SIZED:
        raise Unsupported("a number it needs depends on the batch size")
    special = _SPECIAL.get(call.name)
    if special is not None:
        return special(call)
    if call.rule in _IMAGE_RULES:
        return _images(call)
    if "dim" in call.args:
        return _along(call)
    if call.rule in _NUMBER_RULES:
        return _elementwise(call)
    return _images(call)


def _operands(c: Moved, names: Sequence[str]) -> list[Value]:
    return [operand(c.args[n]) for n in names if isinstance(c.args[n], Act | Const)]


def _level(c: Moved, names: Sequence[str]) -> dict[str, Any]:
    """Samples among these arguments, as tensors that all have as many dimensions as the one that has most."""
    rank = max(len(c.shape(v)) for v in _operands(c, names))
    level = {}
    for name in names:
        value = c.args[name]
        if isinstance(value, Sample):
            sizes = c.shape(value)
            target = [1] * (rank - len(sizes)) + sizes
            level[name] = reshape(c.b, c.site.sub(f"{name}_level"), Act(value.tensor), target)
    return level


def _tensor_names(c: Moved) -> list[str]:
    return [name for name, value in c.args.items() if isinstance(value, Act | Const)]


def _places(values: Sequence[Value]) -> list[Place | None]:
    return [value.place if isinstance(value, Sample | Spread) else None for value in values]


def _elementwise(c: Moved, decide: Callable[..., Place] = batch_axis.broadcast) -> Any:
    names = _tensor_names(c)
    values = _operands(c, names)
    places = _places(values)
    place = decide([c.shape(v) for v in values], places) if any(places) else None
    return c.apply(place, _level(c, names))


def _product(c: Moved) -> Any:
    return _elementwise(c, batch_axis.product)


def _added_product(c: Moved) -> Any:
    product, rank = ("batch1", "batch2"), 3
    sides = _operands(c, product)
    place = batch_axis.product([c.shape(v) for v in sides], _places(sides))
    added = operand(c.args["self"])
    sizes = [1] * rank
    sizes[place.axis] = place.size
    batch_axis.broadcast([sizes, c.shape(added)], [place, *_places([added])])
    return c.apply(place, _level(c, (*product, "self")))


def _attention(c: Moved) -> Any:
    place, rank = c.x.place, c.rank
    if place is not None and place.axis >= rank - 2:
        raise Unsupported(BATCH_HINT)
    return _elementwise(c)


def _along(c: Moved) -> Any:
    """Operations along some axes, all of them where none is named."""
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
    return _along(replace(c, args={**c.args, "dim": None, "keepdim": False}))


def _images(c: Moved) -> Any:
    """Operations on (N, C, ...), one by one where the batch is folded with a number."""
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
    places = _places(values)
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
        return _along(c)
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
        return _along(c)
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
    """A single number; of any other shape as everything."""
    return _images(c) if c.results[0][0] else c.rule(Call(c.b, c.site, c.args, ()))


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
    """Flip and roll."""
    axes = [d % c.rank for d in c.args["dims"]]
    return c.apply(None if c.x.place is None else batch_axis.kept(c.x.place, axes))


_SPECIAL: dict[str, Callable[[Moved], Any]] = {
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
    **dict.fromkeys(
        ("mean", "sum", "max", "min", "amax", "amin", "prod", "any", "all"), lambda c: _reduction(c)
    ),
    "baddbmm": _added_product,
    "scaled_dot_product_attention": _attention,
    "cat": _cat,
    "einsum": _einsum,
    "stack": _stack,
    "slice": _slice,
    "expand": _expand,
    "index": _index,
}


def _reduction(c: Moved) -> Any:
    return _along(c) if "dim" in c.args else _reduce_all(c)


#: Operations that may have numbers that depend on the batch among their arguments.
_SIZED = frozenset(
    (
        "view",
        "_unsafe_view",
        "reshape",
        "flatten",
        "unflatten",
        "expand",
        "slice",
        "split",
        "split_with_sizes",
    )
)


def takes_constants(target: str) -> bool:
    """Whether a constant of the batch's size may stay one, of size 1 for the batch: it is joined or broadcast."""
    return target == "cat.default" or _NAMED.get(target) in _NUMBER_RULES


#: Rules that take the axis behind the batch for the channels.
_CHANNELS = ("prelu.default", "_prelu_kernel.default", "channel_shuffle.default")
_NUMBERS = {
    **activations.RULES,
    **arithmetic.RULES,
    **reduce.RULES,
    **logic.RULES,
    **choice.RULES,
}
_NAMED = {**_NUMBERS, **shapes.RULES}
_IMAGE_RULES = [_NAMED[name] for name in _CHANNELS]
_NUMBER_RULES = list(_NUMBERS.values())
