"""Arithmetic with sizes that are only known when the network runs.

Whatever keeps "constant + multiples of sizes" in that form is evaluated at a few points, from which the form of the
result follows. Anything that compares two numbers is settled if it comes out alike for all that the sizes can be; the
smaller of a size and a limit is a size again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.builder import Const, Unsupported
from converters.symbolic.sizes import LARGEST_VARIETY, Sizes, Unknown, as_sizes, settled

Evaluate = Callable[[Sequence[np.ndarray | None]], list[np.ndarray]]
Inputs = Sequence[Const | Sizes | None]

#: Operators that are linear in these of their inputs, the others fixed; None: in all of them.
_LINEAR: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys(("Identity", "Gather", "GatherND", "Slice", "Split", "Expand", "Tile", "Reshape"), (0,)),
    **dict.fromkeys(("Flatten", "Squeeze", "Unsqueeze", "Transpose", "Neg", "ReduceSum", "ReduceProd"), (0,)),
    **dict.fromkeys(("Div", "Floor", "Ceil", "Round", "Cast", "CastLike"), (0,)),
    **dict.fromkeys(("Concat", "Add", "Sub", "Sum", "Mul", "MatMul")),
    "Where": (1, 2),
    "ScatterND": (0, 2),
}

#: Operators that leave whole numbers as they are, but for the type.
_ROUNDING = frozenset({"Floor", "Ceil", "Round", "Cast", "CastLike"})
#: NumPy types that hold any size.
_WIDE = frozenset({"float32", "float64", "int32", "int64"})

_COMPARISONS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    # bounds of a - b → where the answer is certainly yes, where it is certainly no
    "Greater": lambda low, high: (low > 0, high <= 0),
    "GreaterOrEqual": lambda low, high: (low >= 0, high < 0),
    "Less": lambda low, high: (high < 0, low >= 0),
    "LessOrEqual": lambda low, high: (high <= 0, low > 0),
    "Equal": lambda low, high: ((low == 0) & (high == 0), (low > 0) | (high < 0)),
}


def fold_sizes(op: str, attrs: dict[str, Any], inputs: Inputs, evaluate: Evaluate) -> list[Const | Sizes]:
    """Results of an operator some of whose inputs are sizes.

    Raises:
        Unsupported: they cannot be told for every batch, and whatever is found.
    """
    if op in ("Shape", "Size"):
        return [Const(made) for made in evaluate([_at(value) for value in inputs])]
    if op in _COMPARISONS:
        return [_compared(op, _present(inputs))]
    if op in ("Min", "Max"):
        return [_extreme(_present(inputs), op == "Min")]
    if op in ("ReduceMin", "ReduceMax"):
        return [_extreme_entry(inputs, evaluate, op == "ReduceMin")]
    _require_linear(op, attrs, inputs)
    base = evaluate([_at(value) for value in inputs])
    unknowns = {unknown for value in inputs if isinstance(value, Sizes) for unknown in value.slopes}
    moved = {unknown: evaluate([_at(value, unknown) for value in inputs]) for unknown in unknowns}
    return [
        settled(made, {u: results[i] - made for u, results in moved.items()}) for i, made in enumerate(base)
    ]


def _at(value: Const | Sizes | None, unknown: Unknown | None = None) -> np.ndarray | None:
    """A value where every size is 0, but for one that is 1."""
    if not isinstance(value, Sizes):
        return None if value is None else value.array
    slope = None if unknown is None else value.slopes.get(unknown)
    return value.base if slope is None else value.base + slope


def _present(inputs: Inputs) -> list[Sizes]:
    return [as_sizes(value) for value in inputs if value is not None]


def _require_linear(op: str, attrs: dict[str, Any], inputs: Inputs) -> None:
    if op not in _LINEAR or attrs.get("reduction", "none") != "none":
        raise Unsupported("it computes with a size that is only known when the network runs")
    taken = _LINEAR[op]
    sizes = {i: value for i, value in enumerate(inputs) if isinstance(value, Sizes)}
    if taken is not None and not set(sizes) <= set(taken):
        raise Unsupported(
            "how large its result is, or which part it takes, is only known when the network runs"
        )
    if op in _ROUNDING:
        kind = {1: "float32", 11: "float64", 6: "int32", 7: "int64"}.get(attrs.get("to", 0), "")
        if op == "CastLike":
            kind = as_sizes(inputs[1] or Const(np.empty(0))).base.dtype.name
        fits = all(_whole(sizes[0], part) for part in (sizes[0].base, *sizes[0].slopes.values()))
        if not fits or (op.startswith("Cast") and kind not in _WIDE):
            raise Unsupported("it rounds a size that is only known when the network runs")
    elif op == "Div" and sizes[0].base.dtype.kind in "iu":
        divisor = np.asarray(_at(inputs[1]))
        with np.errstate(divide="ignore"):
            rests = [np.remainder(part, divisor) for part in sizes[0].slopes.values()]
            # What is left of the constant is cut off whatever the sizes are, as long as nothing is negative.
            signs = [np.sign(part) for part in (sizes[0].base, *sizes[0].slopes.values(), divisor)]
            left = np.remainder(sizes[0].base, divisor)
        if min(sign.min(initial=1) for sign in signs) < 0:
            rests.append(left)
        uneven = any((rest[np.broadcast_to(sizes[0].depends, rest.shape)] != 0).any() for rest in rests)
        if uneven or not divisor.all():
            raise Unsupported("it divides a size that is only known when the network runs")
    elif op in ("Mul", "MatMul", "ReduceProd") and not _one_factor_depends(op, list(sizes.values())):
        raise Unsupported("it multiplies sizes that are only known when the network runs")


def _whole(sizes: Sizes, part: np.ndarray) -> bool:
    chosen = part[sizes.depends]
    return bool((chosen == np.floor(chosen)).all())


def _one_factor_depends(op: str, sizes: list[Sizes]) -> bool:
    if op == "ReduceProd":
        return int(sizes[0].depends.sum()) <= 1
    if len(sizes) == 1 or op == "MatMul":
        return len(sizes) == 1
    return not np.logical_and(*np.broadcast_arrays(sizes[0].depends, sizes[1].depends)).any()


def _difference(a: Sizes, b: Sizes) -> Sizes:
    slopes = {u: np.asarray(a.slopes.get(u, 0)) - b.slopes.get(u, 0) for u in {*a.slopes, *b.slopes}}
    base = a.base.astype(np.float64) - b.base
    return Sizes(base, {u: np.broadcast_to(slope, base.shape) for u, slope in slopes.items()})


def _compared(op: str, sides: list[Sizes]) -> Const:
    yes, no = _COMPARISONS[op](*_difference(*sides).bounds())
    if not (yes | no).all():
        raise Unsupported("it compares a size that is only known when the network runs")
    return Const(np.asarray(yes))


def _extreme(values: list[Sizes], least: bool) -> Const | Sizes:
    result = values[0]
    for value in values[1:]:
        result = as_sizes(_smaller(result, value) if least else _larger(result, value))
    return settled(result.base, result.slopes)


def _extreme_entry(inputs: Inputs, evaluate: Evaluate, least: bool) -> Const | Sizes:
    """The smallest or largest number of a list."""
    (x, *others), shape = _present(inputs), evaluate([_at(value) for value in inputs])[0].shape
    if (
        x.base.ndim != 1
        or x.base.size > LARGEST_VARIETY
        or shape not in ((), (1,))
        or any(o.slopes for o in others)
    ):
        raise Unsupported("it compares sizes that are only known when the network runs")
    entries = [
        Sizes(x.base[i : i + 1], {u: slope[i : i + 1] for u, slope in x.slopes.items() if slope[i]})
        for i in range(x.base.size)
    ]
    found = as_sizes(_extreme(entries, least))
    return settled(found.base.reshape(shape), {u: slope.reshape(shape) for u, slope in found.slopes.items()})


def _smaller(a: Sizes, b: Sizes) -> Const | Sizes:
    low, high = _difference(a, b).bounds()
    if ((high <= 0) | (low >= 0)).all():
        return _choice(high <= 0, a, b)
    if a.base.size != 1 or b.base.size != 1 or (a.base % 1).any() or (b.base % 1).any():
        raise Unsupported("it compares sizes that are only known when the network runs")
    entries = [a.entries()[0], b.entries()[0]]
    counts = frozenset(name for e in entries if isinstance(e, Unknown) for name in e.counts)
    most = min(e.most if isinstance(e, Unknown) else e for e in entries)
    zero = np.zeros(np.broadcast_shapes(a.base.shape, b.base.shape), a.base.dtype)
    return settled(zero, {Unknown(counts, most): zero + a.base.dtype.type(1)})


def _larger(a: Sizes, b: Sizes) -> Const | Sizes:
    low, high = _difference(a, b).bounds()
    if not ((high <= 0) | (low >= 0)).all():
        raise Unsupported("it compares sizes that are only known when the network runs")
    return _choice(low >= 0, a, b)


def _choice(first: np.ndarray, a: Sizes, b: Sizes) -> Const | Sizes:
    base = np.where(first, a.base, b.base)
    zero = base.dtype.type(0)
    slopes = {
        u: np.where(first, a.slopes.get(u, zero), b.slopes.get(u, zero)) for u in {*a.slopes, *b.slopes}
    }
    return settled(base, slopes)
