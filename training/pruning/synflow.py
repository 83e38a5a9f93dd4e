"""SynFlow: prune without any data, and without cutting the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sparsenet.errors import MaskError
from training.pruning.problem import Problem, answer, derivatives, own_names, undisturbed
from training.pruning.prunable import unwrap
from training.pruning.scores import Scorer, register

# Identities in the linearised network: on its positive values ReLU is one anyway, the others would saturate.
ACTIVATIONS: frozenset[Callable[..., Any]] = frozenset(
    {
        F.relu, F.relu6, F.leaky_relu, F.prelu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish, F.softplus, F.hardtanh,
        F.hardswish, F.hardsigmoid, F.sigmoid, F.logsigmoid, F.tanh, F.softmax, F.log_softmax, F.dropout, F.dropout2d,
        torch.relu, torch.relu_, torch.sigmoid, torch.tanh, torch.clamp, torch.softmax, torch.log_softmax,
        Tensor.relu, Tensor.relu_, Tensor.sigmoid, Tensor.tanh, Tensor.clamp, Tensor.clamp_, Tensor.softmax,
    }
)  # fmt: skip


@register
class SynFlow(Scorer):
    """Synaptic flow: θ ⊙ ∂R/∂θ, where R sums the outputs of the linearised network to an input of ones.

    In that network every weight is its absolute value, activations are identities, and nothing is added: no biases,
    no shifts of BatchNorm, whose scales stay as in eval mode. R is then linear in each layer, so that the scores of
    every layer of a chain add up to R (the paper's conservation law), which is what keeps layers from running empty
    if pruning goes in many rounds. R can be a product of hundreds of sums; it is computed in float64.
    """

    name = "synflow"
    citation = (
        "Tanaka, Kunin, Yamins and Ganguli 2020, Pruning neural networks without any data by iteratively "
        "conserving synaptic flow, section 6, algorithm 1"
    )
    foresight = True
    scope = "global"
    rounds = 100
    mode = "eval"

    def score(self, problem: Problem) -> dict[str, Tensor]:
        """θ ⊙ ∂R/∂θ, float64. Raises MaskError without an input shape, or if R passes float64."""
        if problem.input_shape is None:
            raise MaskError("method 'synflow' needs input_shape=(C, H, W), or batches to take it from")
        weights = {n: w.detach().double().abs().requires_grad_() for n, w in problem.weights.items()}
        device = next(iter(weights.values())).device
        ones = torch.ones(1, *problem.input_shape, dtype=torch.float64, device=device)
        flow = _total(_linearised_output(problem.model, weights, ones))
        if not torch.isfinite(flow):
            raise MaskError("the synaptic flow is too large for float64: scale the weights down")
        derivative = dict(zip(weights, derivatives(flow, weights), strict=True))
        return {name: weight.detach() * derivative[name] for name, weight in weights.items()}


class _Linear(TorchFunctionMode):
    """Leaves activations out, whether a module calls them or a forward method."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return args[0] if func in ACTIVATIONS and args else func(*args, **(kwargs or {}))


def _linearised_output(model: nn.Module, weights: Mapping[str, Tensor], x: Tensor) -> Any:
    root = unwrap(model)
    state: dict[str, Tensor] = {}
    for name, tensor in [*root.named_parameters(), *root.named_buffers()]:
        value = tensor.detach().clone()
        if value.is_floating_point():
            value = value.double().abs()
            if name.endswith(("bias", "bias_orig", "running_mean")):
                value.zero_()
        state[name] = value
    with undisturbed(root, "eval", seed=0), _Linear():
        return answer(root, state | own_names(weights, state), x)


def _total(output: Any) -> Tensor:
    """Sum of all numbers in an output of tensors, lists, tuples and dicts."""
    if isinstance(output, Tensor):
        return output.sum()
    parts = output.values() if isinstance(output, dict) else output
    return torch.stack([_total(part) for part in parts]).sum()
