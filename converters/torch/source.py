"""A traced module: gives its graph, and PyTorch's own value of every tensor."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from converters.batch_axis import Batch, Layout
from converters.builder import Const, Value
from converters.torch.graph import build_graph
from converters.torch.program import Program
from sparsenet.checks import one_of, shown
from sparsenet.errors import InputError, MissingExtraError
from sparsenet.graph import Graph
from sparsenet.io.graph_json import MAX_NAME

if TYPE_CHECKING:
    import torch
from converters.torch.export import (
    changed_buffers,
    export,
    forward_arguments,
    lifted_tensors,
    returned_values,
)
from converters.torch.permanent import apply_masks, permanent_copy

Examples = Any  # torch.Tensor | np.ndarray | Sequence of them


class TorchSource:
    """A traced module: gives its Graph, and PyTorch's own value of every tensor for comparison.

    Arguments and errors as in ``from_torch``; ``metadata`` is free text that the graph carries along.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        example_inputs: Examples,
        masks: Mapping[str, Any] | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        batch: Batch = "free",
    ) -> None:
        require_torch()
        one_of(batch, "batch", get_args(Batch))
        check_module(module)
        if name is not None and not (isinstance(name, str) and len(name) <= MAX_NAME and name.isprintable()):
            raise InputError(
                f"name must be printable text of at most {MAX_NAME} characters, got {shown(name)}"
            )
        self.name = name or type(module).__name__
        self._metadata = dict(metadata or {})
        self._examples = example_tuple(example_inputs)
        self._module = _prepared(module)
        apply_masks(self._module, {} if masks is None else masks)
        self._fixed = batch == "fixed"
        self._exported = export(self._module, self._examples, self.name, self._fixed)
        self._lifted = lifted_tensors(self._exported)
        nodes = list(self._exported.graph.nodes)
        self._placeholders = [n.name for n in nodes if n.op == "placeholder"]
        given = [name for name in self._placeholders if name not in self._lifted]
        named, rest = forward_arguments(self._module)
        names = ["input"] if len(given) == 1 else [*named, *(f"{rest}_{i}" for i in range(len(given)))]
        self._input_names = dict(zip(given, names, strict=False))
        self._program = Program(
            self.name,
            nodes,
            _constants(self._lifted),
            self._input_names,
            returned_values(self._exported),
            changed_buffers(self._exported),
            _evaluate,
            self._fixed,
        )
        self._value_names: dict[str, str] = {}
        self._layouts: dict[str, Layout] = {}

    def with_weights(self, module: torch.nn.Module) -> TorchSource:
        """The source of a module that differs from this one in the values of its weights alone, by the same trace.

        Its class and settings must be those of the module that was traced: what ``forward`` does is not looked at
        again. No masks are applied.

        Raises:
            InputError: parameters or buffers have other names or shapes than in the module that was traced.
        """
        check_module(module)
        prepared = _prepared(module)
        traced, given = _shapes(self._module), _shapes(prepared)
        if traced != given:
            name = min(n for n, _ in traced.items() ^ given.items())
            raise InputError(
                f"the trace of '{self.name}' is of another network: '{name}' is {_told(traced, name)} there and "
                f"{_told(given, name)} in the module; trace the module itself"
            )
        tensors = {**_named(prepared.named_parameters), **_named(prepared.named_buffers)}
        made = copy.copy(self)
        made._module = prepared
        made._lifted = {p: (n, tensors.get(n, value)) for p, (n, value) in self._lifted.items()}
        made._program = replace(self._program, constants=_constants(made._lifted))
        made._value_names, made._layouts = {}, {}
        return made

    @property
    def weight_bytes(self) -> int:
        """Bytes of the module's parameters, stored as dense float32."""
        return 4 * sum(parameter.numel() for parameter in self._module.parameters())

    def example(self) -> dict[str, np.ndarray]:
        """The example inputs by graph input name, float32."""
        examples = {n: t.numpy() for n, t in zip(self._input_names.values(), self._examples, strict=True)}
        return {n: a[None] for n, a in examples.items()} if self._fixed else examples

    def graph(self) -> Graph:
        """The network as it is written, before any pass."""
        graph, self._value_names, self._layouts = build_graph(self._program)
        graph.metadata.update(self._metadata)
        return graph

    def converted(self, finish: Callable[[Graph], Graph]) -> Graph:
        """``finish`` of the graph."""
        return finish(self.graph())

    def values(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """PyTorch's values of every tensor of ``graph()``, by graph tensor name."""
        return self._computed(inputs, double=False)

    def exact(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """Values of every tensor in float64; None if an operator of the network does not compute in it."""
        try:
            return self._computed(inputs, double=True)
        except (
            AssertionError,
            RuntimeError,
            TypeError,
        ):  # quantized_decomposed ops assert that they get float32
            return None

    def _computed(self, inputs: Mapping[str, np.ndarray], double: bool) -> dict[str, np.ndarray]:
        import torch

        recorded: dict[str, Any] = {}

        def widened(value: Any) -> Any:
            """A float32 tensor, or that type itself, as float64."""
            if not double:
                return value
            if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
                return value.double()
            return torch.float64 if value is torch.float32 else value

        class Recorder(torch.fx.Interpreter):
            def run_node(self, n: torch.fx.Node) -> Any:
                result = super().run_node(n)
                recorded[n.name] = result[0] if isinstance(result, tuple) else result
                return result

            def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
                args, kwargs = torch.utils._pytree.tree_map(widened, (args, kwargs))
                return super().call_function(target, args, kwargs)

        if not self._value_names:
            self.graph()
        given = {name: array[0] if self._fixed else array for name, array in inputs.items()}
        batch = min(len(array) for array in given.values())
        feeds = {
            placeholder: torch.from_numpy(np.ascontiguousarray(given[name], np.float32))
            for placeholder, name in self._input_names.items()
        }
        feeds.update({placeholder: tensor for placeholder, (_, tensor) in self._lifted.items()})
        with torch.no_grad():
            Recorder(self._exported.graph_module).run(*(feeds[name] for name in self._placeholders))
        values = {tensor: recorded[node].numpy() for tensor, node in self._value_names.items()}
        return {t: self._layouts[t].of(v, batch) if t in self._layouts else v for t, v in values.items()}


def _prepared(module: torch.nn.Module) -> torch.nn.Module:
    """A copy to convert: plain float32 weights on the CPU, in eval mode."""
    return permanent_copy(module).cpu().float().eval()


def _named(members: Callable[..., Iterable[tuple[str, torch.Tensor]]]) -> dict[str, torch.Tensor]:
    """Parameters or buffers by every name that they have."""
    return {name: tensor.detach() for name, tensor in members(remove_duplicate=False)}


def _shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """The shapes of parameters and buffers, each under its first name alone, so that shared ones show."""
    return {name: tuple(t.shape) for name, t in (*module.named_parameters(), *module.named_buffers())}


def _told(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return str(shapes[name]) if name in shapes else "absent"


def _constants(lifted: Mapping[str, tuple[str, torch.Tensor]]) -> dict[str, Const]:
    return {placeholder: Const(_array(tensor), name) for placeholder, (name, tensor) in lifted.items()}


def require_torch() -> None:
    """Raise MissingExtraError unless torch is installed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("converting a PyTorch module", "train") from error


def example_tuple(example_inputs: Any) -> tuple[torch.Tensor, ...]:
    """The example inputs as dense float32 tensors on the CPU; InputError unless each has the same batch in front."""
    import torch

    single = isinstance(example_inputs, torch.Tensor | np.ndarray)
    if not single and not isinstance(example_inputs, list | tuple):
        raise InputError(
            f"example_inputs must be a float tensor or several in a list, got {shown(example_inputs)}"
        )
    given = [
        torch.from_numpy(value.astype(np.float32))
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
        else value
        for value in ([example_inputs] if single else example_inputs)
    ]
    for i, tensor in enumerate(given):
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point() or tensor.dim() < 1:
            got = (
                f"{tensor.dtype}, shape {tuple(tensor.shape)}"
                if isinstance(tensor, torch.Tensor | np.ndarray)
                else shown(tensor)
            )
            raise InputError(f"example input {i} must be a float tensor (N, ...), got {got}")
        if tensor.is_meta or tensor.layout != torch.strided:
            raise InputError(
                f"example input {i} must be a dense tensor with numbers, got one that is "
                f"{'on the meta device' if tensor.is_meta else 'sparse'}"
            )
    if not given or len({t.shape[0] for t in given}) != 1:
        raise InputError("example inputs must be float tensors that agree on dimension 0, the batch")
    return tuple(t.detach().cpu().float() for t in given)


def check_module(module: Any) -> None:
    """Raise InputError unless ``module`` is an eager module whose parameters and buffers have numbers."""
    import torch

    if not isinstance(module, torch.nn.Module):
        raise InputError(f"module must be a torch.nn.Module, got {shown(module)}")
    if isinstance(module, torch.jit.ScriptModule):
        raise InputError("module is compiled by torch.jit: give the module that it was made of")
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if torch.nn.parameter.is_lazy(tensor):
            raise InputError(f"'{name}' has no numbers yet: it is of a lazy layer; run the module once")
        if tensor.is_meta:
            raise InputError(
                f"'{name}' is on the meta device and has no numbers: load its weights first (module.to_empty, then "
                "load_state_dict)"
            )


def _evaluate(node: torch.fx.Node, args: Any, kwargs: Any) -> Value | list[Value] | None:
    """The result of a call whose arguments are all known; None if it is random or not a tensor."""
    import torch

    if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
        return None

    def restore(value: Any) -> Any:
        if isinstance(value, list):
            return [restore(v) for v in value]
        return torch.from_numpy(value.array) if isinstance(value, Const) else value

    with torch.no_grad():
        result = node.target(*restore(args), **{k: restore(v) for k, v in kwargs.items()})  # type: ignore[operator]
    if isinstance(result, torch.Tensor):
        if "empty" in str(node.target):
            result.zero_()  # what it happens to hold is written over; for every batch alike
        return Const(_array(result))
    if isinstance(result, list | tuple) and all(isinstance(r, torch.Tensor) for r in result):
        return [Const(_array(r)) for r in result]
    return None


def _array(tensor: torch.Tensor) -> np.ndarray:
    plain = tensor.detach().cpu()
    return (plain.float() if plain.is_floating_point() else plain).contiguous().numpy()
