"""What a scorer may look at: the network's weights and its loss on some samples, without touching the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.dropout import _DropoutNd

from sparsenet.checks import shown
from sparsenet.errors import MaskError
from training.pruning.prunable import unwrap
from training.pruning.scores import Mode

Batches = Iterable[tuple[Tensor, Any]]
Loss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Problem:
    """One question to a scorer. Everything computed from it runs on copies: see ``undisturbed`` too.

    Attributes:
        model: the network, to be run by ``output`` only.
        weights: parameter name → the weights to rate, detached; those pruned in earlier rounds are zero.
        dense: the same before anything was pruned.
        batches: (x, y) pairs; x has the samples along dim 0. Moved to the network's device where they are used.
        loss: ``loss(output, y)``, the mean over the samples of its batch.
        temperature: every number of the output is divided by it before the loss.
        generator: the only source of randomness; on the CPU, so that a seed means the same on every device.
        input_shape: of one sample, (C, H, W); for scorers that make their own input.
    """

    model: nn.Module
    weights: dict[str, Tensor]
    dense: dict[str, Tensor]
    batches: Sequence[tuple[Tensor, Any]] = ()
    loss: Loss | None = None
    temperature: float = 1.0
    generator: torch.Generator = field(default_factory=torch.Generator)
    input_shape: tuple[int, ...] | None = None

    def pruned_to(self, kept: Mapping[str, Tensor]) -> Problem:
        """The same with only the ``kept`` weights (bool masks) left."""
        weights = {n: w.masked_fill(~kept[n].to(w.device), 0) for n, w in self.dense.items()}
        return replace(self, weights=weights)

    def leaves(self, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """Copies of ``weights`` that gradients can be taken with respect to."""
        return {name: w.to(dtype, copy=True).requires_grad_() for name, w in self.weights.items()}

    def output(self, weights: Mapping[str, Tensor], x: Tensor) -> Any:
        """What the network answers to ``x`` with ``weights`` in place of its own.

        Gradients flow to ``weights`` alone, and running statistics are updated in copies. MaskError where it does not
        run on ``x``.
        """
        root = unwrap(self.model)
        state = {name: p.detach() for name, p in root.named_parameters()}
        state |= {name: buffer.clone() for name, buffer in root.named_buffers()}
        return answer(root, state | own_names(weights, state), x)

    def losses(self, weights: Mapping[str, Tensor]) -> Iterator[Tensor]:
        """The mean loss over all samples in parts, one for each batch, that add up to it.

        A batch counts by its number of samples, so the sum does not depend on how the samples were split into batches,
        as long as the network treats each sample alone: BatchNorm does so in eval mode, not in training mode.
        """
        assert self.loss is not None
        samples = sum(len(x) for x, _ in self.batches)
        device = next(iter(weights.values())).device
        for x, y in self.batches:
            output = _map_tensors(self.output(weights, x.to(device)), self._cooled)
            yield _one_number(self.loss(output, to_device(y, device))) * (len(x) / samples)

    def _cooled(self, output: Tensor) -> Tensor:
        return output if self.temperature == 1 else output / self.temperature

    def gradients(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradient of the mean loss over all samples with respect to each of ``weights``."""
        total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for part in self.losses(weights):
            for name, gradient in zip(weights, derivatives(part, weights), strict=True):
                total[name] += gradient
        return total


def checked_batches(batches: Batches | None) -> tuple[tuple[Tensor, Any], ...]:
    """``batches`` as pairs (x, y), x with samples along dim 0, none for None; MaskError for all else."""
    if batches is None:
        return ()
    if isinstance(batches, Tensor | str | bytes | Mapping) or not isinstance(batches, Iterable):
        raise MaskError(f"batches must be a list of pairs (x, y), got {shown(batches)}")
    pairs = tuple(batches)
    for number, pair in enumerate(pairs):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise MaskError(f"batch {number} must be a pair (x, y), got {shown(pair)}")
        x = pair[0]
        if not isinstance(x, Tensor) or x.dim() < 1:
            raise MaskError(
                f"batch {number} must be a pair (x, y), x a tensor with its samples along dimension 0, got {shown(x)}"
            )
    return pairs


def _one_number(loss: Any) -> Tensor:
    """``loss`` as it is; MaskError unless it is one real number that gradients can be taken of."""
    if not isinstance(loss, Tensor):
        raise MaskError(f"the loss must be a tensor of one number, got {shown(loss)}")
    if loss.numel() != 1:
        raise MaskError(f"the loss must be one number, got shape {tuple(loss.shape)}: use reduction='mean'")
    if not loss.is_floating_point():
        raise MaskError(f"the loss must be a floating-point number, got {loss.dtype}")
    return loss


def answer(root: nn.Module, state: Mapping[str, Tensor], x: Tensor) -> Any:
    """What ``root`` answers to ``x`` with ``state`` in place of its own; MaskError where it does not run on it."""
    try:
        return functional_call(root, dict(state), (x,))
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).partition("\n")[0][:200]
        raise MaskError(f"the model does not run on {x.dtype} of shape {tuple(x.shape)}: {reason}") from error


def own_names(weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``weights`` under the names they have in ``state``: torch.nn.utils.prune appends _orig to those it holds."""
    return {name if name in state else f"{name}_orig": weight for name, weight in weights.items()}


def derivatives(value: Tensor, weights: Mapping[str, Tensor], create_graph: bool = False) -> list[Tensor]:
    """Gradients of a scalar, zero for weights it does not depend on; MaskError if it depends on none."""
    if not value.requires_grad:
        raise MaskError("the loss does not depend on any of the weights that are to be rated")
    return list(
        torch.autograd.grad(value, list(weights.values()), create_graph=create_graph, materialize_grads=True)
    )


@contextmanager
def undisturbed(model: nn.Module, mode: Mode, seed: int) -> Iterator[None]:
    """Let a model be run and leave it as it was: training flags, and what torch.nn.utils.prune keeps in attributes.

    ``mode`` sets the whole model to training or evaluation meanwhile; "current" leaves every module as it is. Dropout
    is off in any case: a mask should not hang on which units a coin happened to drop. The global random state is
    restored; inside, it depends on ``seed`` only.
    """
    root = unwrap(model)
    flags = [(module, module.training) for module in root.modules()]
    held = [
        (module, key.removesuffix("_orig"), module.__dict__[key.removesuffix("_orig")])
        for module in root.modules()
        for key in module._parameters
        if key.endswith("_orig") and key.removesuffix("_orig") in module.__dict__
    ]
    devices = {p.device for p in root.parameters() if p.device.type == "cuda"}
    try:
        if mode != "current":
            root.train(mode == "train")
        for module in root.modules():
            if isinstance(module, _DropoutNd):
                module.eval()
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with exact, torch.random.fork_rng(list(devices)), torch.enable_grad():
            torch.manual_seed(seed)
            yield
    finally:
        for module, flag in flags:
            module.training = flag
        for module, attribute, value in held:
            module.__dict__[attribute] = value


def to_device(value: Any, device: torch.device) -> Any:
    """Tensors, alone or in lists, tuples and dicts, to ``device``."""
    return _map_tensors(value, lambda tensor: tensor.to(device))


def _map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _map_tensors(item, change) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_map_tensors(item, change) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(_map_tensors(item, change) for item in value)
    return value
