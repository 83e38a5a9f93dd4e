"""The sizes of a model's inputs: those in the file, those it leaves open, and those a user gives.

A dimension is open if the file has a name for it, nothing, or a number below 1. Places are counted as in the model:
dimension 0 is the batch, if the model is read as having one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sparsenet.checks import items, shown, whole_number
from sparsenet.errors import InputError

#: The sizes of an input: None where nobody knows.
Sizes = tuple[int | None, ...]
#: Sizes of all inputs, by name.
AllSizes = dict[str, Sizes]
#: An input's name and one of its dimensions.
Place = tuple[str, int]

#: NHWC images have so many channels; more, and it is an image of other dimension order.
COLOURS = (1, 3, 4)


@dataclass(frozen=True)
class Declared:
    """An input as the model declares it: a number for each dimension, or the name of an open one, "" if it has none."""

    name: str
    dims: tuple[int | str, ...]

    @property
    def shown(self) -> str:
        """Text of an input for messages: 'input' (N, 3, H, ?)."""
        return f"'{self.name}' ({', '.join(str(d) or '?' for d in self.dims)})"


@dataclass(frozen=True)
class GivenSizes:
    """Sizes that a user gives for open dimensions.

    Attributes:
        shapes: input → sizes of all its dimensions; None for one that is not to be settled here.
        dims: name of an open dimension → size.
        image_size: rows and columns of images that leave them open, (N, C, H, W) or (N, H, W, C).
    """

    shapes: Mapping[str, Sequence[int | None]]
    dims: Mapping[str, int]
    image_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for what, given, kinds in (("shapes", self.shapes, (Sequence,)), ("dims", self.dims, (object,))):
            if not isinstance(given, Mapping):
                raise InputError(f"{what} must be a dict of sizes by name, got {shown(given)}")
            for name, value in given.items():
                if not isinstance(name, str) or not isinstance(value, kinds) or isinstance(value, str | None):
                    raise InputError(f"{what} cannot have the entry {name!r:.80}: {value!r:.80}")
        if self.image_size is not None:
            sides = items(self.image_size, "image_size")
            if len(sides) != 2:
                raise InputError(f"image_size must be two numbers, rows and columns, got {len(sides)}")
            for side in sides:
                whole_number(side, "image_size")

    def settle(self, model: str, inputs: Sequence[Declared]) -> AllSizes:
        """The size of every dimension of every input, None for what is left open.

        Raises:
            InputError: a name is not the model's, a size is no positive number, or not what the model or another
                option says; the message lists what there is.
        """
        self._check_names(model, inputs)
        return {declared.name: self._sizes(declared) for declared in inputs}

    def _check_names(self, model: str, inputs: Sequence[Declared]) -> None:
        known = {declared.name for declared in inputs}
        for name in self.shapes:
            if name not in known:
                there = ", ".join(declared.shown for declared in inputs)
                raise InputError(
                    f"'{model}' has no input '{name}' that a shape could be given; it has {there}"
                )
        for name in self.dims:
            if not name or not any(name in declared.dims for declared in inputs):
                raise InputError(f"'{model}' has no open dimension '{name}'; {open_ones(inputs)}")

    def _sizes(self, declared: Declared) -> Sizes:
        where = f"input {declared.shown}"
        shape: Sequence[int | None] = self.shapes.get(declared.name, [None] * len(declared.dims))
        if len(shape) != len(declared.dims):
            raise InputError(f"{where} has {len(declared.dims)} dimensions, the shape given has {len(shape)}")
        image = self._image(declared)
        sizes: list[int | None] = []
        for axis, dim in enumerate(declared.dims):
            said = [_size(shape[axis], where), _size(self.dims.get(str(dim)) if dim else None, where)]
            numbers = [dim] if isinstance(dim, int) else []
            numbers += [size for size in said if size is not None] or image.get(axis, [])
            if len(set(numbers)) > 1:
                raise InputError(f"{where}: dimension {axis} cannot be both {numbers[0]} and {numbers[-1]}")
            sizes.append(numbers[0] if numbers else None)
        return tuple(sizes)

    def _image(self, declared: Declared) -> dict[int, list[int]]:
        if self.image_size is None or len(declared.dims) != 4:
            return {}
        return {
            axis: [_size(size, "image_size") or 0]
            for axis, size in zip(image_axes(declared), self.image_size, strict=True)
            if not isinstance(declared.dims[axis], int)
        }


def image_axes(declared: Declared) -> tuple[int, int]:
    """Where rows and columns of a four-dimensional input are: behind the channels, or in front of them."""
    first, last = declared.dims[1], declared.dims[3]
    return (1, 2) if last in COLOURS and first not in COLOURS else (2, 3)


def _size(value: int | None, where: str) -> int | None:
    if value is not None and (isinstance(value, bool) or not hasattr(value, "__index__") or value < 1):
        raise InputError(f"{where}: a size must be a positive whole number, not {value!r}")
    return None if value is None else int(value)


def open_ones(inputs: Iterable[Declared]) -> str:
    """Text of what a model leaves open, for messages: by name and without."""
    names = list(dict.fromkeys(d for declared in inputs for d in declared.dims if isinstance(d, str) and d))
    unnamed = [declared.shown for declared in inputs if "" in declared.dims]
    shapes = f"; open without a name, so to be given by a shape: {', '.join(unnamed)}" if unnamed else ""
    listed = ", ".join(f"'{name}'" for name in names)
    return (f"its open dimensions are {listed}" if names else "it leaves none open by name") + shapes


def advice(declared: Declared, missing: Sequence[int]) -> str:
    """Text of why an input cannot be taken as it is, and what to give, ready to be typed.

    Args:
        missing: the dimensions that nobody has settled.
    """
    example = {axis: 1 if axis == 0 else 64 for axis in missing}
    names = {str(declared.dims[axis]): size for axis, size in example.items()}
    places = [f"{i}" + (f" ('{declared.dims[i]}')" if declared.dims[i] else "") for i in missing]
    what = f"dimension{'s' if len(missing) > 1 else ''} {' and '.join(places)}"
    shape = tuple(d if isinstance(d, int) else example.get(i, 1) for i, d in enumerate(declared.dims))
    options = [f"--shape {declared.name}={'x'.join(map(str, shape))} (shapes={{'{declared.name}': {shape}}})"]
    if "" not in names:
        command = " ".join(f"--dim {name}={size}" for name, size in names.items())
        options.insert(0, f"{command} (dims={names})")
    if len(declared.dims) == 4 and set(missing) <= set(image_axes(declared)):
        options.append("--image-size 64 64 (image_size=(64, 64))")
    return f"input {declared.shown} leaves {what} open; say how large, with your numbers: " + " or ".join(
        options
    )


def with_batch_of_one(sizes: Sizes) -> Sizes:
    """Sizes of an input whose first dimension, if nobody has settled it, is the batch of a model for one image."""
    return (1, *sizes[1:]) if sizes and sizes[0] is None else sizes


def open_places(inputs: Iterable[Declared]) -> dict[str, list[Place]]:
    """Open dimensions but the first, which is the batch: a name for each → its places, one name in one list."""
    found: dict[str, list[Place]] = {}
    for declared in inputs:
        for axis, dim in enumerate(declared.dims):
            if axis > 0 and isinstance(dim, str):
                found.setdefault(dim or f"{declared.name}[{axis}]", []).append((declared.name, axis))
    return found


def enlarged(sizes: AllSizes, more: Mapping[Place, int]) -> AllSizes:
    """Sizes, some of them larger by these amounts."""
    return {
        name: tuple(d if d is None else d + more.get((name, i), 0) for i, d in enumerate(shape))
        for name, shape in sizes.items()
    }
