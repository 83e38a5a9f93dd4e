"""ATen operations that choose by value: the largest numbers, and elements at computed indices. No torch import."""

from __future__ import annotations

from converters.builder import Act, Const, Unsupported, Value
from converters.decompose import choice
from converters.torch.call import Call, Rule, operand


def _top_k(c: Call) -> list[Value]:
    if not isinstance(c["k"], int):
        raise Unsupported("its k must be a number")
    return choice.top_k(c.b, c.site, c.at("indices"), c.x, c.axis(c["dim"]), c["k"], bool(c["largest"]))


def _sort(c: Call) -> list[Value]:
    axis = c.axis(c["dim"])
    count, largest = c.sizes[axis - 1], bool(c["descending"])
    return choice.top_k(c.b, c.site, c.at("indices"), c.x, axis, count, largest)


def _argsort(c: Call) -> Act:
    axis = c.axis(c["dim"])
    return c.unary("top_k", axis=axis, count=c.sizes[axis - 1], largest=bool(c["descending"]))


def _gather(c: Call) -> Act:
    index: Value = c["index"]
    if isinstance(index, Const):
        raise Unsupported("its indices must be computed from the input; use index_select with constant ones")
    return choice.gather_elements(c.b, c.site, c.x, index, c.axis(c["dim"]))


def _embedding(c: Call) -> Act:
    """Rows of a table at computed places."""
    table = choice.computed(c.b, c.at("table"), operand(c["weight"]), 3)
    return choice.gather(c.b, c.site, table, c["indices"], 1)


def _floor_divide(c: Call) -> Act:
    quotient = c.binary("div", operand(c["self"]), operand(c["other"]), "quotient")
    return c.b.node("floor", c.site, [quotient.tensor])


RULES: dict[str, Rule] = {
    "topk.default": _top_k,
    "sort.default": _sort,
    "sort.stable": _sort,
    "argsort.default": _argsort,
    "gather.default": _gather,
    "embedding.default": _embedding,
    "floor_divide.default": _floor_divide,
}
