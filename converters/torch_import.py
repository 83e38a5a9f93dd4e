"""PyTorch module → Graph, through ``torch.export``. The only file of this package that imports torch."""

from __future__ import annotations

import copy
import importlib
import inspect
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from converters.batch_axis import Batch, Layout
from converters.builder import Const, Value
from converters.hints import TORCH_HINTS
from converters.symbolic.open_sizes import open_sizes
from converters.torch.graph import Program, build_graph
from converters.torch.ops.table import RULES
from sparsenet.checks import flag, one_of, shown
from sparsenet.errors import InputError, MaskError, MissingExtraError, UnsupportedOpError
from sparsenet.graph import Graph
from sparsenet.io.graph_json import MAX_NAME
from sparsenet.locks import Lock

if TYPE_CHECKING:
    import torch

#: What torch.export keeps in globals, and what is changed around it, is for one thread at a time.
_TRACING = Lock()

Examples = Any  # torch.Tensor | np.ndarray | Sequence of them


def from_torch(
    module: torch.nn.Module,
    example_inputs: Examples,
    masks: Mapping[str, Any] | None = None,
    *,
    optimize: bool = True,
    name: str | None = None,
    open_size: bool | Mapping[str, Sequence[int]] = False,
    batch: Batch = "free",
) -> Graph:
    """Convert a PyTorch module, in evaluation mode, to a Graph. The module itself is left as it is.

    Nodes and constants are named after the module's own layers ("block1.conv", "block1.conv.weight"). Batch norm
    uses running statistics, ``torch.nn.utils.prune`` and parametrizations are made permanent, every weight becomes
    float32. A single input is called "input", a single output "output"; several inputs keep the argument names of
    ``forward``, dict outputs their keys, other outputs become "output_0", "output_1", ... None among them is left out.

    Args:
        module: the network.
        example_inputs: one float tensor (or array) per argument of ``forward``, shape (N, ...); N is free in the graph.
        masks: parameter name → 0/1 tensor of its shape; the weights where it is 0 become 0.
        optimize: run every exact pass (folding and fusion; see ``converters.passes``).
        name: the graph's name; default: the module's class name.
        open_size: leave rows and columns of image inputs open, or, by input name, the dimensions listed, as in
            {"input": (2,)} for sounds (N, C, T): an engine plans any other size when it first meets it. Dimensions of
            one number are as large as each other's examples in all inputs. The module is traced at four sizes for that.
        batch: "free": dimension 0 of every input is the batch, of any size. "fixed": it is a dimension like any other,
            of the size that the examples have, for modules that work across it; a tensor of the module is then one
            sample of the graph, which has its own batch in front, as in ``from_onnx``.

    Raises:
        UnsupportedOpError: lists every operation without a counterpart, by layer, with a hint; or, with
            ``open_size``, every node that is bound to one size.
        MaskError: a mask fits no parameter or holds other values than 0 and 1.
        InputError: the module is none, or has no numbers yet (lazy layers, the meta device); the example inputs are not
            float tensors with a batch dimension, or ``open_size`` names what is no dimension of theirs.
        MissingExtraError: torch is not installed.
    """
    _require_torch()
    flag(optimize, "optimize")
    if not isinstance(open_size, bool | Mapping):
        raise InputError(
            f"open_size must be True, False or a dict of dimensions by input name, got {shown(open_size)}"
        )
    examples = _example_tuple(example_inputs)

    def imported(inputs: Sequence[torch.Tensor]) -> Graph:
        graph = TorchSource(module, inputs, masks, name, batch=batch).graph()
        if not optimize:
            return graph
        from converters import passes

        return passes.optimize(graph)

    graph = imported(examples)
    if not open_size:
        return graph
    axes = _open_axes(graph, open_size, lead=int(batch == "fixed"))

    def at(more: Mapping[str, int]) -> Graph:
        inputs = zip(examples, graph.inputs, strict=True)
        return imported([_enlarged(x, {a: more[str(a)] for a in axes.get(i.name, ())}) for x, i in inputs])

    names = sorted({str(axis) for of_one in axes.values() for axis in of_one})
    return open_sizes(graph, names, at, all_of_them=True)


def _open_axes(
    graph: Graph, wanted: bool | Mapping[str, Sequence[int]], lead: int
) -> dict[str, Sequence[int]]:
    """The dimensions of each input that are to be open, counted as in the module.

    ``lead``: dimensions of the graph's tensors in front of the module's.
    """
    if not isinstance(wanted, Mapping):
        images = {info.name: (2, 3) for info in graph.inputs if len(info.shape) == 4 + lead}
        if not images:
            raise InputError(
                f"'{graph.name}' has no image input whose rows and columns could be open; name the dimensions, "
                f"as in open_size={{'{graph.inputs[0].name}': ({len(graph.inputs[0].shape) - 1 - lead},)}}"
            )
        return dict(images)
    shapes = {info.name: info.shape[lead:] for info in graph.inputs}
    for name, axes in wanted.items():
        if name not in shapes:
            raise InputError(f"open_size names the input '{name}'; the inputs are: {', '.join(shapes)}")
        if (
            not isinstance(axes, Sequence)
            or not axes
            or any(axis not in range(1, len(shapes[name])) for axis in axes)
        ):
            raise InputError(
                f"open_size: {axes} are no dimensions behind the batch of '{name}' {shapes[name]}"
            )
    return dict(wanted)


def _enlarged(example: torch.Tensor, more: Mapping[int, int]) -> torch.Tensor:
    """Zeros behind the ends of some dimensions."""
    import torch

    amounts = [number for axis in reversed(range(example.dim())) for number in (0, more.get(axis, 0))]
    return torch.nn.functional.pad(example, amounts) if more else example


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
        _require_torch()
        one_of(batch, "batch", get_args(Batch))
        _check_module(module)
        if name is not None and not (isinstance(name, str) and len(name) <= MAX_NAME and name.isprintable()):
            raise InputError(
                f"name must be printable text of at most {MAX_NAME} characters, got {shown(name)}"
            )
        self.name = name or type(module).__name__
        self._metadata = dict(metadata or {})
        self._examples = _example_tuple(example_inputs)
        self._module = permanent_copy(module).cpu().float().eval()
        _apply_masks(self._module, {} if masks is None else masks)
        self._fixed = batch == "fixed"
        self._exported = _export(self._module, self._examples, self.name, self._fixed)
        self._lifted = _lifted(self._exported)
        nodes = list(self._exported.graph.nodes)
        self._placeholders = [n.name for n in nodes if n.op == "placeholder"]
        given = [name for name in self._placeholders if name not in self._lifted]
        named, rest = _arguments(self._module)
        names = ["input"] if len(given) == 1 else [*named, *(f"{rest}_{i}" for i in range(len(given)))]
        self._input_names = dict(zip(given, names, strict=False))
        self._program = Program(
            self.name,
            nodes,
            {n: Const(_array(tensor), name) for n, (name, tensor) in self._lifted.items()},
            self._input_names,
            _outputs(self._exported),
            _changed(self._exported),
            _evaluate,
            self._fixed,
        )
        self._value_names: dict[str, str] = {}
        self._layouts: dict[str, Layout] = {}

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
        """What PyTorch computes for every tensor of ``graph()``, by graph tensor name."""
        return self._computed(inputs, double=False)

    def exact(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The same in float64; None if an operator of the network does not compute in it."""
        try:
            return self._computed(inputs, double=True)
        except (RuntimeError, TypeError):
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


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("converting a PyTorch module", "train") from error


def _example_tuple(example_inputs: Any) -> tuple[torch.Tensor, ...]:
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


def _check_module(module: Any) -> None:
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


def permanent_copy(module: torch.nn.Module) -> torch.nn.Module:
    """A copy whose weights are plain parameters: pruning, normalisations and parametrizations are made permanent.

    Sparse tensors (COO, CSR and their like) become dense.
    """
    import torch
    from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    # Reparametrised weights are results of autograd, which deepcopy refuses; they are recomputed anyway.
    memo = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    for part in module.modules():
        for name, tensor in (*part._parameters.items(), *part._buffers.items()):
            if tensor is not None and tensor.layout != torch.strided:
                dense = tensor.detach().to_dense()
                held = name in part._parameters
                memo[id(tensor)] = torch.nn.Parameter(dense, tensor.requires_grad) if held else dense
    plain = copy.deepcopy(module, memo)
    flags = [(part, part.training) for part in plain.modules()]
    plain.eval()  # a spectral norm would take a step each time it is asked
    for part in plain.modules():
        for hook in list(part._forward_pre_hooks.values()):
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(part, hook._tensor_name)
            elif isinstance(hook, WeightNorm):
                remove_weight_norm(part, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(part, hook.name)
        if parametrize.is_parametrized(part):
            # The weight is a property of a class made for this module, which the copy shares with the original.
            made = type(part)
            part.__class__ = type(made.__name__, made.__bases__, dict(vars(made)))
        for parameter in list(getattr(part, "parametrizations", {})):
            parametrize.remove_parametrizations(part, parameter, leave_parametrized=True)
    for part, training in flags:
        part.training = training
    return plain


def _apply_masks(module: torch.nn.Module, masks: Mapping[str, Any]) -> None:
    import torch

    if not isinstance(masks, Mapping):
        raise MaskError(f"masks must map names of parameters to masks, got {shown(masks)}")
    parameters = dict(module.named_parameters(remove_duplicate=False))
    for name, given in masks.items():
        try:
            mask = torch.as_tensor(given).cpu()
            mask = mask if mask.layout == torch.strided else mask.to_dense()
        except (TypeError, ValueError, RuntimeError):
            raise MaskError(f"mask '{name}' must be an array of 0 and 1, got {shown(given)}") from None
        if name not in parameters:
            known = ", ".join(list(parameters)[:5])
            raise MaskError(f"mask '{name}' fits no parameter of the module; it has {known}, ...")
        if parameters[name].shape != mask.shape:
            raise MaskError(
                f"mask '{name}' is {tuple(mask.shape)}, its parameter {tuple(parameters[name].shape)}"
            )
        if not bool(((mask == 0) | (mask == 1)).all()):
            raise MaskError(f"mask '{name}' holds values other than 0 and 1")
        with torch.no_grad():
            parameters[name].masked_fill_(mask == 0, 0.0)


def _arguments(module: torch.nn.Module) -> tuple[list[str], str | None]:
    """Names of the positional arguments of its forward, and of the one that takes all further, as in ``*inputs``."""
    given = inspect.signature(module.forward).parameters.values()
    named = [p.name for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return named, next((p.name for p in given if p.kind is p.VAR_POSITIONAL), None)


def _export(
    module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], name: str, fixed: bool
) -> torch.export.ExportedProgram:
    """The functional ATen program; the batch stays symbolic where the module lets it.

    ``fixed``: it is what the inputs have.
    """
    import torch

    # torch.export takes a size of 1 for a constant, so the batch is traced at 2.
    doubled = tuple(torch.cat([t, t]) if t.shape[0] == 1 else t for t in inputs)
    free_batch: tuple[Any, ...] = tuple({0: torch.export.Dim.AUTO} for _ in inputs)
    named, rest = _arguments(module)
    if rest is not None:
        free_batch = (*free_batch[: len(named)], free_batch[len(named) :])
    attempts: list[tuple[Any, Any]] = [(inputs, None)] if fixed else [(doubled, free_batch), (inputs, None)]
    failure: Exception | None = None
    for example, dynamic in attempts:
        try:
            with _silent_tracing(), torch.no_grad():
                program = torch.export.export(module, example, dynamic_shapes=dynamic).run_decompositions({})
                return _spelt_out(program)
        except Exception as error:  # tracing runs the user's code, which may raise anything
            failure = failure or error
    reason = str(failure).strip().splitlines()[0] if str(failure).strip() else type(failure).__name__
    raise UnsupportedOpError(f"'{name}' cannot be traced by torch.export: {reason}") from failure


def _spelt_out(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program with every operation that has no rule, of tensors that depend on the input, in torch's own terms.

    What torch cannot spell out, and what users are told of by a hint, stays.
    """
    import torch

    known = torch.export.default_decompositions()
    tried: set[Any] = set()
    while True:
        fed = set(program.graph_signature.user_inputs)
        strange = set()
        for node in program.graph.nodes:
            if node.op != "call_function" or not any(n.name in fed for n in node.all_input_nodes):
                continue
            if not isinstance(
                node.meta.get("val"), int | float | torch.SymInt | torch.SymFloat | torch.SymBool
            ):
                fed.add(node.name)
                strange.add(node.target)
        strange = {op for op in strange - tried if op in known and _is_strange(op)}
        if not strange:
            return program
        tried |= strange
        try:
            program = program.run_decompositions({op: known[op] for op in strange})
        except Exception:  # an operation that needs numbers where there are only shapes
            return program


def _is_strange(operation: Any) -> bool:
    """Whether there is neither a rule for an operation nor a hint, and it draws no random numbers."""
    import torch

    name = str(operation).removeprefix("aten.")
    random = torch.Tag.nondeterministic_seeded in operation.tags
    return not (name in RULES or name.split(".")[0] in TORCH_HINTS or random)


@contextmanager
def _silent_tracing() -> Iterator[None]:
    """Without what torch.export says of its own: deprecations, and logs and a graph on stderr where it fails."""
    logger = logging.getLogger("torch")
    with _TRACING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = logger.level
        logger.setLevel(
            logging.CRITICAL
        )  # a logger that TORCH_LOGS names has a level of its own and still speaks
        try:
            # The graph is printed, not logged; a name of that module's own hides the builtin there and nowhere else.
            printing = vars(importlib.import_module("torch.export._trace"))
        except ImportError:
            printing = {}
        printing["print"] = lambda *_args, **_options: None
        try:
            yield
        finally:
            printing.pop("print", None)
            logger.setLevel(level)


def _lifted(exported: torch.export.ExportedProgram) -> dict[str, tuple[str, torch.Tensor]]:
    """Placeholder name → (name in the module, value) of the parameters, buffers and constants it was lifted from."""
    found = {}
    for spec in exported.graph_signature.input_specs:
        if spec.target is not None:
            held = exported.state_dict.get(spec.target)
            value = exported.constants[spec.target] if held is None else held
            found[spec.arg.name] = (spec.target, value.detach())
    return found


def _outputs(program: torch.export.ExportedProgram) -> list[tuple[str, Any]]:
    """What the module returns, with names: nodes, and numbers, but not None, which stands where training has more."""
    import torch
    from torch.export.graph_signature import OutputKind

    (given,) = next(node for node in program.graph.nodes if node.op == "output").args
    specs = program.graph_signature.output_specs
    returned: list[Any] = [
        value for value, spec in zip(given, specs, strict=True) if spec.kind is OutputKind.USER_OUTPUT
    ]
    leaves = range(len(returned))
    tree = torch.utils._pytree.tree_unflatten(leaves, program.call_spec.out_spec)
    kept = [i for i in leaves if returned[i] is not None]
    if isinstance(tree, dict) and set(map(type, tree.values())) == {int}:
        keys = {leaf: str(key) for key, leaf in tree.items()}
        return [(keys[i], returned[i]) for i in kept]
    return [("output" if len(kept) == 1 else f"output_{n}", returned[i]) for n, i in enumerate(kept)]


def _changed(program: torch.export.ExportedProgram) -> set[str]:
    """Placeholders of the buffers that a call leaves with other values."""
    signature = program.graph_signature
    changed = set(signature.buffers_to_mutate.values())
    return {placeholder for placeholder, name in signature.inputs_to_buffers.items() if name in changed}


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
