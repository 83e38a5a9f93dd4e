"""Dynamic sparse training: masks of a constant density that move while the network trains."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from sparsenet.checks import one_of, shown, whole_number
from sparsenet.errors import CheckpointError, MaskError
from training.pruning.block_shape import block_length
from training.pruning.blocks import block_sizes, from_blocks, to_blocks
from training.pruning.drop_schedule import SPARSE_TRAINING, DropSchedule
from training.pruning.masks import Masks
from training.pruning.prunable import effective_weight, find_held
from training.pruning.select import top_k


class DynamicSparsity:
    """Training hook that drops each layer's smallest weights and grows as many others, from zero.

    "rigl" grows where the gradient is largest (Evci et al. 2020, Rigging the Lottery, algorithm 1), "set" at random
    (Mocanu et al. 2018, Scalable training of artificial neural networks). The gradient is that of the step just taken,
    read at updates alone. What has just been dropped may grow again at once, and then keeps its value. Blocks of the
    masks (``info["block"]``) drop by their mean magnitude, grow by their mean gradient, and trade places with blocks of
    their own size. A layer without a gradient keeps its mask. Deterministic for given weights, gradients and seed, so
    the processes of a parallel run agree without talking.

    Raises:
        MaskError: no such method, or masks of whole channels, which cannot trade weights.
    """

    def __init__(self, masks: Masks, schedule: DropSchedule, method: str = "rigl", seed: int = 0) -> None:
        if not isinstance(masks, Masks):
            raise MaskError(f"masks must be Masks, got {shown(masks)}")
        if not isinstance(schedule, DropSchedule):
            raise MaskError(f"schedule must be a DropSchedule, got {shown(schedule)}")
        one_of(method, "method", tuple(SPARSE_TRAINING), MaskError)
        if masks.info.get("structured") is not None or masks.affine:
            raise MaskError(
                "these masks prune whole channels: sparse training needs single weights or blocks"
            )
        self.schedule, self.method = schedule, method
        self.seed = whole_number(seed, "seed", 2**64 - 1, -(2**63), MaskError)
        self.masks = Masks(masks, masks.info | {"method": method, "drop_schedule": asdict(schedule)})

    def after_step(self, step: int, model: nn.Module) -> None:
        """Call with the number of the optimizer step just taken, gradients still there; masks move when it is due."""
        self.masks.apply(model)
        if self.schedule.is_due(step):
            moved = {name: self._moved(name, mask, step, model) for name, mask in self.masks.items()}
            self.masks = Masks(moved, self.masks.info)
            self.masks.apply(model)

    def _moved(self, name: str, mask: Tensor, step: int, model: nn.Module) -> Tensor:
        gradient = find_held(model, name).parameter.grad
        if gradient is None:
            return mask
        length = block_length(self.masks.info.get("block"))
        sizes = torch.as_tensor(block_sizes(mask.shape, length))
        kept = to_blocks(mask, length).any(dim=1)
        magnitude = _unit_means(effective_weight(model, name), length, sizes)
        if SPARSE_TRAINING[self.method] == "gradient":
            growth = _unit_means(gradient, length, sizes)
        else:
            growth = _random(kept.numel(), f"{self.seed} {step} {name}")
        if not torch.isfinite(growth).all():
            raise MaskError(f"the gradient of '{name}' is not finite at step {step}")
        moved, sizes = kept.clone(), sizes.expand(kept.numel())
        for size in sizes.unique():
            alike = sizes == size
            moved[alike] = trade(kept[alike], magnitude[alike], growth[alike], self.schedule.share(step))
        return from_blocks(moved.unsqueeze(1).expand(-1, length), mask.shape)

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors only, so that a checkpoint can be read without unpickling code."""
        return {"options": self._options(), "masks": dict(self.masks)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state``; CheckpointError if it was saved with other options or densities."""
        masks = Masks(state["masks"], self.masks.info)
        own = self._options()
        if state["options"] != own or masks.density_per_layer() != self.masks.density_per_layer():
            raise CheckpointError(
                f"the checkpoint was trained sparsely in another way: {state['options']}; this run has {own}, or its "
                "masks have other densities"
            )
        self.masks = masks

    def _options(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "seed": self.seed,
            "schedule": asdict(self.schedule),
            "block": self.masks.info.get("block"),
        }


def trade(kept: Tensor, magnitude: Tensor, growth: Tensor, share: float) -> Tensor:
    """Flags (units,) as many as in ``kept``: without the ``share`` of them of least magnitude, with the best by growth.

    ``magnitude`` and ``growth`` are (units,) and finite; of equal ones the earlier are kept and grown.
    """
    count = round(share * int(kept.sum()))
    stays = top_k(magnitude.masked_fill(~kept, -torch.inf), int(kept.sum()) - count)
    return stays | top_k(growth.masked_fill(stays, -torch.inf), count)


def _unit_means(tensor: Tensor, length: int, sizes: Tensor) -> Tensor:
    """Mean absolute value of each block, float64 on the CPU."""
    return to_blocks(tensor.detach().to("cpu").double().abs(), length).sum(dim=1) / sizes


def _random(count: int, key: str) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    return torch.rand(count, generator=generator, dtype=torch.float64)
