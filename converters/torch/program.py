"""A functional ATen program, and facts about its nodes. No torch import: nodes bring everything along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converters.builder import Const, Value

if TYPE_CHECKING:
    from torch import fx


@dataclass(frozen=True)
class Program:
    """The parts of a functional ATen program.

    Attributes:
        name: of the graph to be.
        nodes: in execution order; ``meta["val"]`` holds each result's shape, ``meta["nn_module_stack"]`` its layer.
        constants: placeholder → parameter, buffer or constant tensor, under the module's name for it.
        inputs: placeholder → graph input name.
        outputs: names of the outputs, in order, and what the program returns under them: a node, or a number.
        changed: placeholders of buffers that the program gives new values.
        evaluate: ``(node, args, kwargs)`` → result of a call whose arguments are all known, None if it has none.
        fixed: dimension 0 is no batch; the graph has one of its own in front of each of the program's tensors.
    """

    name: str
    nodes: list[fx.Node]
    constants: dict[str, Const]
    inputs: dict[str, str]
    outputs: list[tuple[str, Any]]
    changed: set[str]
    evaluate: Callable[[Any, list[Any], dict[str, Any]], Value | list[Value] | None]
    fixed: bool = False


def live_nodes(outputs: list[Any]) -> set[fx.Node]:
    """Nodes an output depends on; checks, forgotten results and changes of buffers are not among them."""
    waiting = [value for value in outputs if hasattr(value, "users")]
    live = set(waiting)
    while waiting:
        for node in waiting.pop().all_input_nodes:
            if node not in live:
                live.add(node)
                waiting.append(node)
    return live


def module_of(node: fx.Node) -> tuple[str, str]:
    """Path and class of the innermost module a call was made in."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return "", ""
    path, kind = stack[-1]
    return path, kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def bind(node: fx.Node, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a call by schema name, defaults added, the ``result_dtype``, and the names of ``logical`` ones."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    logical = [a.name for a, given in zip(schema, node.args, strict=False) if _is_logical(given)]
    logical += [name for name, given in node.kwargs.items() if _is_logical(given)]
    bound = {"logical": logical, **{a.name: a.default_value for a in schema if a.has_default_value()}}
    bound.update({a.name: value for a, value in zip(schema, args, strict=False)})
    return {**bound, **kwargs, "result_dtype": str(getattr(node.meta.get("val"), "dtype", None))}


def _is_logical(given: Any) -> bool:
    """Whether an argument is a tensor of truth values."""
    return "bool" in str(getattr(getattr(given, "meta", {}).get("val"), "dtype", ""))


def is_random(node: fx.Node) -> bool:
    """Whether a call draws random numbers."""
    return any("seeded" in str(tag) for tag in getattr(node.target, "tags", ()))
