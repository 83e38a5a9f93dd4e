"""A program exported by torch → Graph, node by node. No torch import: the program brings everything along."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.batch_axis import (
    Layout,
    Sample,
    Spread,
    fixed_batch_hint,
    is_plain,
    materialized,
    output_of,
    sample_of,
    spread,
)
from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, explain
from converters.decompose.shapes import BATCH_HINT
from converters.hints import torch_hint
from converters.quantized import Quantized, as_integers
from converters.torch.batch import across, takes_constants
from converters.torch.call import Call, Rule
from converters.torch.moved import Moved
from converters.torch.ops.quantize import note_scales
from converters.torch.ops.table import RULES
from sparsenet.errors import GraphError
from sparsenet.graph import Graph, Shape

if TYPE_CHECKING:
    from torch import fx
from converters.torch.program import Program, bind, is_random, live_nodes, module_of

# Operations that only move or rename data: they do not own the name of the module they run in.
_SHAPE_OPS = frozenset(
    ["view", "reshape", "flatten", "permute", "transpose", "unsqueeze", "squeeze", "clone", "_unsafe_view"]
)


_WEIGHTED_OPS = {
    "conv2d",
    "convolution",
    "linear",
    "addmm",
    "batch_norm",
    "_native_batch_norm_legit_no_training",
}


_CHANGED = "the network changes it, so what it gives differs from call to call; engines keep no state"


def build_graph(program: Program) -> tuple[Graph, dict[str, str], dict[str, Layout]]:
    """The graph, for each of its tensors the program node that makes the same values, and those laid out differently.

    Raises:
        UnsupportedOpError: listing every operation without a counterpart.
    """
    return _Walk(program).run()


class _Walk:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.builder = GraphBuilder(program.name)
        self.env: dict[str, Any] = dict(program.constants)
        self.batch: Any = ""
        self.layouts: dict[str, Layout] = {}

    def run(self) -> tuple[Graph, dict[str, str], dict[str, Layout]]:
        live = live_nodes([value for _, value in self.program.outputs])
        for node in self.program.nodes:
            if node.name in self.program.inputs:
                if node.users:
                    self.batch = self.batch or str(node.meta["val"].shape[0])
                self.env[node.name] = self._input(node)
            elif node.op == "call_function" and node in live:
                self.env[node.name] = self._convert(node)
            elif node.name in self.program.changed and node in live:
                self.builder.fail(self.env[node.name].name, "buffer", _CHANGED)
        outputs = [(wanted, self._output(value, wanted)) for wanted, value in self.program.outputs]
        graph, renamed = self.builder.finish(outputs)
        layouts = {renamed.get(name, name): layout for name, layout in self.layouts.items()}
        return graph, self._value_names(graph, renamed), layouts

    def _input(self, node: fx.Node) -> Act:
        name, value = self.program.inputs[node.name], node.meta["val"]
        if self.program.fixed:
            return Sample(self.builder.input(name, (None, *value.shape)).tensor)
        if not node.users:  # nothing says that its batch is that of the others
            return self.builder.input(name, (None, *map(int, value.shape[1:])))
        return self.builder.input(name, self._shape(value))

    def _output(self, node: Any, wanted: str) -> Act | Const:
        value = self.env[node.name] if hasattr(node, "users") else None
        if not isinstance(value, Act):
            return Const(np.zeros(1))  # a number or a constant
        if isinstance(value, Quantized):
            value = as_integers(self.builder, Site(self.builder.unique_name(wanted), wanted), value)
        if isinstance(value, Sample):
            self.layouts[value.tensor] = Layout(value.place)
            site = Site(self.builder.unique_name(wanted), self.builder.unique_name(wanted))
            value, layout = output_of(self.builder, site, value)
            self.env[node.name] = value
            self.layouts[value.tensor] = layout
        return value

    def _value_names(self, graph: Graph, renamed: dict[str, str]) -> dict[str, str]:
        made = {node.output for node in graph.nodes}
        names: dict[str, str] = {}
        for program_node, value in self.env.items():
            if isinstance(value, Act) and not isinstance(value, Quantized):  # those are bytes in the source
                tensor = renamed.get(value.tensor, value.tensor)
                if tensor in made:
                    names.setdefault(tensor, program_node)  # dropout and the like share their input's tensor
        return names

    def _convert(self, node: fx.Node) -> Any:
        args, kwargs = self._resolve(node.args), self._resolve(node.kwargs)
        on_batch = _involves(_Batch, (args, kwargs))
        if not on_batch and not _involves(Spread, (args, kwargs)) and not _involves(Act, (args, kwargs)):
            folded = self.program.evaluate(node, args, kwargs)
            if folded is not None:
                if str(node.target).startswith("quantized_decomposed.dequantize_per_"):
                    note_scales(self.builder, bind(node, args, kwargs))
                return folded
        target = str(node.target).removeprefix("aten.")
        if "sym_size" in target or (on_batch and not hasattr(node.target, "_schema")):
            return _BATCH  # sizes and arithmetic on them; rules read shapes from the program instead
        site = self._site(node)
        if not target.startswith("quantized_decomposed.dequantize"):
            args, kwargs = self._integers((args, kwargs), site)
        try:
            if node.target is operator.getitem:
                return _part(args[0], args[1])
            if (on_batch or _involves(Spread, (args, kwargs))) and not _involves(Act, (args, kwargs)):
                return self._spread(node)
            rule = RULES.get(target)
            if rule is None:
                raise Unsupported(torch_hint(target, is_random(node)))
            if not takes_constants(target):
                args, kwargs = self._computed((args, kwargs), site)
            if _involves(Sample, (args, kwargs)) or _misaligned((args, kwargs), node):
                return self._across(node, rule, site)
            before = len(self.builder.graph.nodes)
            try:
                shape = self._shape(node.meta["val"]) if hasattr(node.meta.get("val"), "shape") else None
                return rule(Call(self.builder, site, bind(node, args, kwargs), shape))
            except (Unsupported, GraphError, TypeError) as refusal:
                self.builder.forget(before)
                try:
                    return self._across(node, rule, site)
                except (Unsupported, GraphError):
                    self.builder.forget(before)
                    raise refusal from None
        except (Unsupported, GraphError) as error:
            hint = "" if self.program.fixed else fixed_batch_hint(error)
            self.builder.fail(site.name, target, explain(error) + hint)
        except TypeError:
            if not on_batch:
                raise
            self.builder.fail(
                site.name,
                target,
                "a number it needs depends on the batch size; or convert with batch='fixed'",
            )
        return self._stand_in(node, site)

    def _integers(self, value: Any, site: Site) -> Any:
        """Arguments with bytes as what they are for all calls but those that ask what they stand for: numbers."""
        if isinstance(value, list | tuple):
            return type(value)(self._integers(v, site) for v in value)
        if isinstance(value, dict):
            return {key: self._integers(v, site) for key, v in value.items()}
        if isinstance(value, Quantized):
            return as_integers(self.builder, site.sub(self.builder.unique_name("bytes")), value)
        return value

    def _across(self, node: fx.Node, rule: Rule, site: Site) -> Any:
        """A call on tensors that do not have the batch in front, or whose result does not."""
        target = str(node.target).removeprefix("aten.")
        given: Any = [self._resolve(value, 1) for value in (node.args, node.kwargs)]
        if not takes_constants(target):
            given = self._computed(given, site)
        args, kwargs = (self._samples(value) for value in given)
        batch = int(self.batch) if self.batch.isdigit() else None
        made: Any = node.meta.get("val")
        results = [
            (
                [self._number(d, 1) for d in v.shape],
                [self._number(d, 2) - self._number(d, 1) for d in v.shape],
            )
            for v in (made if isinstance(made, list | tuple) else [made])
            if hasattr(v, "shape")
        ]
        call = Moved(
            self.builder,
            site,
            target.split(".")[0],
            rule,
            bind(node, args, kwargs),
            results,
            1 if self.program.fixed else batch,
            _involves(_Batch, (self._resolve(node.args), self._resolve(node.kwargs))),
        )
        result = across(call)
        for value in result if isinstance(result, list) else [result]:
            if isinstance(value, Sample):
                self.layouts[value.tensor] = Layout(value.place)
        return result

    def _spread(self, node: fx.Node) -> Any:
        """A constant of the batch's size, from what it is for a batch of one and of two."""
        made: list[Any] = []
        for batch in (1, 2):
            args, kwargs = (
                _for_batch(self._resolve(given, batch), batch) for given in (node.args, node.kwargs)
            )
            made.append(self.program.evaluate(node, args, kwargs))
        if made[0] is None or made[1] is None:
            raise Unsupported(torch_hint(str(node.target).removeprefix("aten."), is_random(node)))
        if isinstance(made[0], Const):
            return spread(made[0], made[1])
        return [spread(*pair) for pair in zip(*made, strict=True)]

    def _computed(self, value: Any, site: Site) -> Any:
        """Arguments with constants of the batch's size as tensors of the graph."""
        if isinstance(value, list | tuple):
            return [self._computed(v, site) for v in value]
        if isinstance(value, dict):
            return {k: self._computed(v, site) for k, v in value.items()}
        if not isinstance(value, Spread):
            return value
        name = self.builder.unique_name(f"{site.tensor}.constant")
        return materialized(self.builder, Site(name, name), value)

    def _samples(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._samples(v) for v in value]
        if isinstance(value, dict):
            return {k: self._samples(v) for k, v in value.items()}
        return sample_of(self.builder, value) if isinstance(value, Act) else value

    def _number(self, size: Any, batch: int) -> int:
        """A size for a batch of so many, if it is free."""
        expression = getattr(getattr(size, "node", None), "expr", None)
        if expression is None:
            return int(size)
        known = {symbol: batch for symbol in expression.free_symbols if str(symbol) == self.batch}
        value = expression.subs(known)
        if value.free_symbols:
            raise Unsupported("a size it needs is not known")
        return int(value)

    def _stand_in(self, node: fx.Node, site: Site) -> Any:
        """Tensors of the right shapes, so that the rest of the network is examined as well."""
        made: Any = node.meta.get("val")
        fixed = self.program.fixed
        acts = [
            (Sample if fixed else Act)(
                self.builder.stand_in(
                    self.builder.unique_name(f"{site.tensor}.{i}"),
                    (None, *(int(d) if isinstance(d, int) else 1 for d in value.shape[0 if fixed else 1 :])),
                ).tensor
            )
            for i, value in enumerate(made if isinstance(made, list | tuple) else [made])
            if hasattr(value, "shape")
        ]
        return acts if isinstance(made, list | tuple) else acts[0]

    def _resolve(self, value: Any, batch: int = 0) -> Any:
        """Arguments as values; numbers that depend on the batch are for one of ``batch``, if that is given."""
        if isinstance(value, list | tuple):
            return [self._resolve(v, batch) for v in value]
        if isinstance(value, dict):
            return {k: self._resolve(v, batch) for k, v in value.items()}
        found = self.env[value.name] if hasattr(value, "users") else value
        if batch and found is _BATCH:
            size = value.meta["val"]
            if self._number(size, 2) != 2 * self._number(size, 1):
                raise Unsupported(BATCH_HINT)
            return self._number(size, batch)
        return found

    def _shape(self, value: Any) -> Shape:
        """Shape with None for the batch; Unsupported when another dimension depends on the batch."""
        dims = [None if i == 0 and str(d) == self.batch else d for i, d in enumerate(value.shape)]
        if any(not isinstance(d, int | None) for d in dims):
            shown = ", ".join(map(str, value.shape))
            raise Unsupported(f"its shape ({shown}) mixes the batch with other dimensions")
        return tuple(dims)

    def _site(self, node: fx.Node) -> Site:
        """Name by the layer that owns the weight, else by the module the call was made in."""
        operation = str(node.target).removeprefix("aten.").split(".")[0]
        constants = [self.env[n.name] for n in node.all_input_nodes if isinstance(self.env[n.name], Const)]
        owners = [c.name.removesuffix(".weight") for c in constants if c.name.endswith(".weight")]
        path, kind = module_of(node)
        owns_name = operation not in _SHAPE_OPS or kind.startswith("torch.nn.modules.flatten")
        if operation in _WEIGHTED_OPS and owners:
            base = owners[0]
        elif path and kind.startswith("torch.nn.modules.") and owns_name:
            base = path
        else:
            base = f"{path}.{operation.strip('_')}" if path else operation.strip("_")
        unique = self.builder.unique_name(base)
        return Site(unique, unique)


class _Batch:
    """Placeholder for the batch size, or a number computed from it, among the arguments of a call."""


_BATCH = _Batch()


def _for_batch(value: Any, batch: int) -> Any:
    """Constants of the batch's size as they are for one of ``batch``."""
    if isinstance(value, list):
        return [_for_batch(v, batch) for v in value]
    if isinstance(value, dict):
        return {k: _for_batch(v, batch) for k, v in value.items()}
    return Const(value.doubled) if batch == 2 and isinstance(value, Spread) else value


def _misaligned(value: Any, node: fx.Node) -> bool:
    """Whether a constant of the batch's size among the arguments has it elsewhere than the result's dimension 0."""
    if isinstance(value, list | tuple):
        return any(_misaligned(v, node) for v in value)
    if isinstance(value, dict):
        return any(_misaligned(v, node) for v in value.values())
    rank = len(getattr(node.meta.get("val"), "shape", ()))
    return isinstance(value, Spread) and not (is_plain(value.place) and value.array.ndim == rank)


def _part(values: Any, index: int) -> Any:
    """One result of several: what rules return as a list."""
    if not isinstance(values, list) or index >= len(values):
        raise Unsupported("only the first result of this layer is supported, not indices or statistics")
    part = values[index]
    if callable(part):  # what takes nodes of its own is made once it is asked for
        part = values[index] = part()
    return part


def _involves(kind: type, value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_involves(kind, v) for v in value)
    if isinstance(value, dict):
        return any(_involves(kind, v) for v in value.values())
    return isinstance(value, kind)
