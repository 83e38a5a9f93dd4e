"""An ATen call on samples as decisions about the batch see it (see ``batch_axis``). No torch import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from converters import batch_axis
from converters.batch_axis import Place, Sample, Spread
from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.shapes import BATCH_HINT, reshape
from converters.torch.call import Call, Rule, operand

#: Sizes of a result, and how many times the batch each of them is (all 0: the program is for one batch size).
Sizes = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Moved:
    """A call on samples: as ``call.Call``, with samples among the arguments.

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
        """The result as a sample, or as the graph's own tensor if the batch is in front."""
        sample = Sample(x.tensor, place)
        return batch_axis.plain(self.b, self.site, sample) if batch_axis.is_plain(place) else sample

    def inner_site(self, place: Place | None) -> Site:
        """The site of the node in front of ``made``."""
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


#: Names of arguments that are axes, or lists of them.
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


def operands(c: Moved, names: Sequence[str]) -> list[Value]:
    """The named arguments that are tensors."""
    return [operand(c.args[n]) for n in names if isinstance(c.args[n], Act | Const)]


def level(c: Moved, names: Sequence[str]) -> dict[str, Any]:
    """Samples among these arguments, as tensors that all have as many dimensions as the one that has most."""
    rank = max(len(c.shape(v)) for v in operands(c, names))
    level = {}
    for name in names:
        value = c.args[name]
        if isinstance(value, Sample):
            sizes = c.shape(value)
            target = [1] * (rank - len(sizes)) + sizes
            level[name] = reshape(c.b, c.site.sub(f"{name}level"), Act(value.tensor), target)
    return level


def tensor_names(c: Moved) -> list[str]:
    """Names of the arguments that are tensors."""
    return [name for name, value in c.args.items() if isinstance(value, Act | Const)]


def places_of(values: Sequence[Value]) -> list[Place | None]:
    """The place of the batch in each value; ``None`` for values without."""
    return [value.place if isinstance(value, Sample | Spread) else None for value in values]
