"""A module as torch.export's functional ATen program, and the parts of that program."""

from __future__ import annotations

import importlib
import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from converters.hints import TORCH_HINTS
from converters.torch.ops.table import RULES
from sparsenet.errors import UnsupportedOpError
from sparsenet.locks import Lock

if TYPE_CHECKING:
    import torch


#: Lock for torch.export, which keeps state in globals, and for what is changed around it: one thread at a time.
_TRACING = Lock()


def export(
    module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], name: str, fixed: bool
) -> torch.export.ExportedProgram:
    """The functional ATen program; the batch stays symbolic where the module lets it.

    ``fixed``: it is what the inputs have.
    """
    import torch

    # torch.export takes a size of 1 for a constant, so the batch is traced at 2.
    doubled = tuple(torch.cat([t, t]) if t.shape[0] == 1 else t for t in inputs)
    free_batch: tuple[Any, ...] = tuple({0: torch.export.Dim.AUTO} for _ in inputs)
    named, rest = forward_arguments(module)
    if rest is not None:
        free_batch = (*free_batch[: len(named)], free_batch[len(named) :])
    attempts: list[tuple[Any, Any]] = [(inputs, None)] if fixed else [(doubled, free_batch), (inputs, None)]
    failure: Exception | None = None
    for example, dynamic in attempts:
        try:
            with silent_tracing(), torch.no_grad():
                program = torch.export.export(module, example, dynamic_shapes=dynamic).run_decompositions({})
                return _spelt_out(program)
        except Exception as error:  # tracing runs the user's code, which may raise anything
            failure = failure or error
    reason = str(failure).strip().splitlines()[0] if str(failure).strip() else type(failure).__name__
    raise UnsupportedOpError(f"'{name}' cannot be traced by torch.export: {reason}") from failure


def forward_arguments(module: torch.nn.Module) -> tuple[list[str], str | None]:
    """Names of the positional arguments of its forward, and of the one that takes all further, as in ``*inputs``."""
    given = inspect.signature(module.forward).parameters.values()
    named = [p.name for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return named, next((p.name for p in given if p.kind is p.VAR_POSITIONAL), None)


def _spelt_out(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program with every operation that has no rule, of tensors that depend on the input, in torch's own terms.

    What torch cannot decompose, and what users are told of by a hint, stays.
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
def silent_tracing() -> Iterator[None]:
    """A context without the output of torch.export: deprecations, and logs and a graph on stderr where it fails."""
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


def lifted_tensors(exported: torch.export.ExportedProgram) -> dict[str, tuple[str, torch.Tensor]]:
    """Placeholder name → (name in the module, value) of the parameters, buffers and constants it was lifted from."""
    found = {}
    for spec in exported.graph_signature.input_specs:
        if spec.target is not None:
            held = exported.state_dict.get(spec.target)
            value = exported.constants[spec.target] if held is None else held
            found[spec.arg.name] = (spec.target, value.detach())
    return found


def returned_values(program: torch.export.ExportedProgram) -> list[tuple[str, Any]]:
    """The module's outputs with names: nodes, and numbers, but not None, which replaces what only training returns."""
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


def changed_buffers(program: torch.export.ExportedProgram) -> set[str]:
    """Placeholders of the buffers that a call leaves with other values."""
    signature = program.graph_signature
    changed = set(signature.buffers_to_mutate.values())
    return {placeholder for placeholder, name in signature.inputs_to_buffers.items() if name in changed}
