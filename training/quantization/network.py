"""A network made to round: where the roundings go, and how it finds its first ranges."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sparsenet.errors import InputError
from sparsenet.graph.ops import OPS
from training.models.layers import MaxPoolSame
from training.pruning.channel_flow import LeafTracer, graph_op
from training.pruning.masks import Masks
from training.pruning.prunable import checked_model
from training.quantization.fake_quantize import (
    QUANTIZED,
    FakeQuantize,
    FrozenBatchNorm2d,
    RoundedWeights,
    round_weights,
)

#: Ops of calls that following channels has no use for.
_LAYERS: dict[type[nn.Module], str] = {nn.Linear: "linear", nn.Flatten: "flatten", MaxPoolSame: "max_pool2d"}
_CALLS: dict[Any, str] = {
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    torch.mean: "global_avg_pool2d",
    torch.flatten: "flatten",
    torch.cat: "concat",
    "mean": "global_avg_pool2d",
    "flatten": "flatten",
    "add": "add",
}
#: Activations that limit numbers: the integer that is rounded to is limited instead, at no cost.
_LIMITS = ("relu", "clip")


@dataclass(frozen=True)
class Grids:
    """What a network rounds to, as of the last call of its ``eval``.

    Attributes:
        activations: name of a call in the network's graph → (scale, zero point): number = scale * (byte - zero_point).
        weights: name of a layer → scales of its output channels, float32 (C_out,).
    """

    activations: dict[str, tuple[float, int]]
    weights: dict[str, Tensor]


def quantized(model: nn.Module) -> fx.GraphModule:
    """A copy of ``model`` that computes with 8-bit integers, in evaluation mode; ``model`` stays as it is.

    BatchNorm is folded into the convolution before it, by its running statistics, and is gone; one that has none before
    it keeps its statistics, in training too. Layers keep their names, so masks fit as before. Rounded are the input and
    every result, but those that integer kernels keep as sums for what they do next (a ReLU, or the residual add behind
    the convolution that comes last before it) and those of ops that only choose among rounded numbers.

    Raises:
        InputError: torch.fx cannot trace the model, or a layer is of a kind of its own.
    """
    root = copy.deepcopy(checked_model(model)).eval()
    try:
        network = fx.GraphModule(root, LeafTracer().trace(root), type(root).__name__)
    except Exception as error:  # the model's own code runs here and may fail on a proxy in any way
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"torch.fx cannot trace {type(model).__name__}, so it cannot be quantized: {reason}"
        ) from None
    if hasattr(root, "only_input_size"):
        network.only_input_size = root.only_input_size
    _fold_batch_norms(network)
    for name, module in network.named_modules():
        if type(module) in QUANTIZED:
            round_weights(module)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            raise InputError(f"layer '{name}' is a {type(module).__name__}, which cannot be quantized")
        elif isinstance(module, nn.BatchNorm2d):
            module.__class__ = FrozenBatchNorm2d
    ops = {node: _op(network, node) for node in network.graph.nodes}
    for node in [node for node in network.graph.nodes if _is_rounded(node, ops)]:
        _round(network, node)
    network.graph.lint()
    network.recompile()
    return network.eval()


@torch.no_grad()
def calibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Find the first ranges of activations from inputs (N, C, H, W); leaves the network in evaluation mode."""
    network.eval()
    for module in network.modules():
        if isinstance(module, FakeQuantize):
            module.train()
    for x in batches:
        network(x)
    network.eval()


def zeros_held(network: nn.Module) -> Masks:
    """Masks that keep every zero of a network's weights, and biases of 0 of channels without weights."""
    weights = Masks.from_zeros(network)
    parameters = dict(network.named_parameters())
    biases = {}
    for name, mask in weights.items():
        bias = parameters.get(name.removesuffix("weight") + "bias")
        if bias is not None:
            biases[name.removesuffix("weight") + "bias"] = mask.flatten(1).any(dim=1) | (
                bias.detach().cpu() != 0
            )
    return Masks(dict(weights) | biases, weights.info, affine=biases)


def grids(network: nn.Module) -> Grids:
    """Every grid of a network that ``quantized`` has made."""
    modules = dict(network.named_modules())
    return Grids(
        {
            name.removeprefix("grids."): (module.scale, module.zero_point)
            for name, module in modules.items()
            if isinstance(module, FakeQuantize)
        },
        {name: module.weight_scale for name, module in modules.items() if isinstance(module, RoundedWeights)},
    )


def _fold_batch_norms(network: fx.GraphModule) -> None:
    modules = dict(network.named_modules())
    calls = [node.target for node in network.graph.nodes if node.op == "call_module"]
    for node in list(network.graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        source = node.args[0] if node.args else None
        if (
            not isinstance(norm, nn.BatchNorm2d)
            or norm.running_mean is None
            or not isinstance(source, fx.Node)
        ):
            continue
        layer = modules.get(str(source.target)) if source.op == "call_module" else None
        shared = calls.count(node.target) > 1 or calls.count(source.target) > 1 or len(source.users) > 1
        if not isinstance(layer, nn.Conv2d) or shared:
            continue
        modules[str(source.target)] = fuse_conv_bn_eval(layer, norm)
        network.set_submodule(str(source.target), modules[str(source.target)])
        node.replace_all_uses_with(source)
        network.graph.erase_node(node)
    network.delete_all_unused_submodules()


def _op(network: fx.GraphModule, node: fx.Node) -> str | None:
    """The op of the graph that a call becomes; None if none is known."""
    module = network.get_submodule(str(node.target)) if node.op == "call_module" else None
    if module is None:
        known = _CALLS.get(node.target)
    else:
        known = next((_LAYERS[kind] for kind in type(module).__mro__ if kind in _LAYERS), None)
    if known == "add" and not all(isinstance(x, fx.Node) for x in node.args[:2]):
        return None
    return known or graph_op(node, module)


def _is_rounded(node: fx.Node, ops: dict[fx.Node, str | None]) -> bool:
    if node.op == "placeholder":
        return True
    op = ops[node]
    if op is None:
        return node.op == "call_module"
    if op != "concat" and OPS[op].integer in ("choice", ""):
        return op == "batch_norm"
    if op == "relu" and any(ops[source] in _LIMITS for source in node.all_input_nodes):
        return False  # nothing is left to limit: the numbers lie on their grid already
    if len(node.users) != 1:
        return True
    reader = next(iter(node.users))
    if ops[reader] == "add" and OPS[op].integer == "product":
        return node is not _takes_add(reader, ops)
    carries = OPS[op].integer in ("product", "sum")
    return not (ops[reader] == "concat" or (ops[reader] in _LIMITS and carries))


def _takes_add(add: fx.Node, ops: dict[fx.Node, str | None]) -> fx.Node:
    """The layer that adds the other operand to its own result: the last that is only read by the add."""
    order = {node: place for place, node in enumerate(add.graph.nodes)}
    operands = [x for x in add.args[:2] if isinstance(x, fx.Node)]
    return max(
        (x for x in operands if len(x.users) == 1 and OPS[ops[x] or "add"].integer == "product"),
        key=order.__getitem__,
    )


def _round(network: fx.GraphModule, node: fx.Node) -> None:
    name = f"grids.{node.name}"
    network.add_submodule(name, FakeQuantize())
    with network.graph.inserting_after(node):
        rounding = network.graph.call_module(name, (node,))
    node.replace_all_uses_with(rounding, delete_user_cb=lambda user: user is not rounding)
