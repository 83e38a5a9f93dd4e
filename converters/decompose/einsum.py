"""Lowering of einsum: sums over single operands' own indices, then products of two at a time as matrix products."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.elementwise import binary
from converters.decompose.shapes import BATCH_HINT, reshape, transpose
from converters.decompose.tensors import reduce


@dataclass(frozen=True)
class _Term:
    """An operand and a letter for each dimension behind the graph's batch; a constant has no batch."""

    value: Value
    letters: str


def einsum(b: GraphBuilder, site: Site, values: Sequence[Value], equation: str, lead: int = 0) -> Act:
    """Sums of products by an equation whose letters name dimensions; those not in the result are summed over.

    ``lead``: dimensions of the graph's tensors that the equation does not know (see ``converters.onnx.call``).
    """
    shapes = [b.shapes[v.tensor][lead:] if isinstance(v, Act) else v.array.shape for v in values]
    inputs, output = parsed(equation, [len(shape) for shape in shapes])
    sizes: dict[str, int] = {}
    for shape, letters in zip(shapes, inputs, strict=True):
        for letter, size in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, size or 0) != (size or 0):
                raise Unsupported(f"'{letter}' has {sizes[letter]} elements here, {size} there", "equation")
    if not lead:
        inputs, output = _without_batch(values, inputs, output)
    terms = [_Term(value, letters) for value, letters in zip(values, inputs, strict=True)]
    result = terms[0]
    for i, term in enumerate(terms[1:], 1):
        wanted = set(output).union(*(t.letters for t in terms[i + 1 :]))
        result = _product(b, site.sub(f"product{i}"), result, term, wanted, sizes)
    result = _summed(b, site.sub("summed"), result, set(output))
    assert isinstance(result.value, Act)
    order = [0, *(1 + result.letters.index(letter) for letter in output)]
    return transpose(b, site, result.value, order)


def parsed(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Letters of each operand and of the result; those that "..." stands for get letters of their own."""
    sides = equation.replace(" ", "").split("->")
    inputs = sides[0].split(",")
    free = [letter for letter in string.ascii_letters + string.digits if letter not in equation]
    if len(inputs) != len(ranks) or len(sides) > 2:
        raise Unsupported(f"its equation is not one of {len(ranks)} operands", "equation")
    hidden = [rank - len(part.replace("...", "")) for part, rank in zip(inputs, ranks, strict=True)]
    if any(n < 0 or (n and "..." not in part) for n, part in zip(hidden, inputs, strict=True)):
        raise Unsupported(f"its operands have {ranks} dimensions", "equation")
    widest = max(hidden)
    rest = "".join(free[:widest])
    full = [part.replace("...", rest[widest - n :]) for part, n in zip(inputs, hidden, strict=True)]
    if len(sides) == 2:
        output = sides[1].replace("...", rest)
    else:
        once = [letter for letter in sorted(set("".join(full))) if "".join(full).count(letter) == 1]
        output = rest + "".join(letter for letter in once if letter not in rest)
    if any(len(set(part)) < len(part) for part in (*full, output)) or not set(output) <= set("".join(full)):
        raise Unsupported(
            "a letter twice in one operand, or one that no operand has, is not supported", "equation"
        )
    return full, output


def _without_batch(values: Sequence[Value], inputs: list[str], output: str) -> tuple[list[str], str]:
    """Letters without the batch's, which must be the first of everything computed, and of nothing else."""
    computed = [letters for value, letters in zip(values, inputs, strict=True) if isinstance(value, Act)]
    batch = {letters[:1] for letters in (*computed, output)}
    constants = [letters for value, letters in zip(values, inputs, strict=True) if isinstance(value, Const)]
    if len(batch) != 1 or any(letter in "".join(constants) for letter in batch):
        raise Unsupported(BATCH_HINT, "equation")
    rest = [part[1:] if isinstance(value, Act) else part for value, part in zip(values, inputs, strict=True)]
    return rest, output[1:]


def _summed(b: GraphBuilder, site: Site, term: _Term, wanted: set[str]) -> _Term:
    """The term summed over the letters that nothing else has."""
    gone = [i for i, letter in enumerate(term.letters) if letter not in wanted]
    kept = "".join(letter for letter in term.letters if letter in wanted)
    if isinstance(term.value, Const):
        return _Term(Const(term.value.array.sum(tuple(gone))), kept) if gone else term
    return _Term(reduce(b, site, term.value, "sum", [1 + i for i in gone], False), kept)


def _product(
    b: GraphBuilder, site: Site, left: _Term, right: _Term, wanted: set[str], sizes: dict[str, int]
) -> _Term:
    """The product of two terms: wanted letters of both stay side by side, others of both are summed over."""
    left = _summed(b, site.sub("left"), left, wanted | set(right.letters))
    right = _summed(b, site.sub("right"), right, wanted | set(left.letters))
    both = [letter for letter in left.letters if letter in right.letters and letter in wanted]
    inner = [letter for letter in left.letters if letter in right.letters and letter not in wanted]
    rows = [letter for letter in left.letters if letter not in right.letters]
    columns = [letter for letter in right.letters if letter not in left.letters]
    one = _matrix(b, site.sub("a"), left, [both, rows, inner], sizes)
    other = _matrix(b, site.sub("b"), right, [both, inner, columns], sizes)
    letters = "".join((*both, *rows, *columns))
    if isinstance(one, Const) and isinstance(other, Const):
        b.require_memory([*one.array.shape[:-1], other.array.shape[-1]], f"'{site.name}', of constants")
        made = np.matmul(one.array, other.array).reshape([sizes[letter] for letter in letters])
        return _Term(Const(made), letters)
    result = binary(b, site, "matmul", one, other, 1)
    shaped = reshape(b, site.sub("apart"), result, [sizes[letter] for letter in letters])
    return _Term(shaped, letters)


def _matrix(
    b: GraphBuilder, site: Site, term: _Term, groups: Sequence[Sequence[str]], sizes: dict[str, int]
) -> Value:
    """A term as a matrix: dimensions in the order of three groups, each of which becomes one."""
    order = [term.letters.index(letter) for group in groups for letter in group]
    target = [math.prod(sizes[letter] for letter in group) for group in groups]
    if isinstance(term.value, Const):
        return Const(term.value.array.transpose(order).reshape(target))
    transposed = transpose(b, site.sub("transposed"), term.value, [0, *(1 + i for i in order)])
    return reshape(b, site.sub("matrix"), transposed, target)
