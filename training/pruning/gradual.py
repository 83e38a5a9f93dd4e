"""Gradual pruning: masks that tighten while the model trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from sparsenet.checks import shown
from sparsenet.errors import CheckpointError, MaskError
from training.pruning.block_shape import Block
from training.pruning.find import find_masks
from training.pruning.masks import Masks
from training.pruning.prunable import prunable_weights
from training.pruning.schedule import PolynomialSchedule
from training.pruning.scopes import WeightScope
from training.pruning.select import OnEmpty
from training.pruning.units import Structured


class GradualPruner:
    """Training hook that follows a sparsity schedule (Zhu and Gupta 2017, section 3).

    After every optimizer step the masks are re-applied; when the schedule says so they are first found anew
    from the current weights. A pruned weight is never revived: each mask is chosen within the one before.
    Deterministic for given weights and seed, so the processes of a parallel run agree without talking.
    ``state_dict`` makes a resumed run continue exactly.
    """

    def __init__(
        self,
        model: nn.Module,
        schedule: PolynomialSchedule,
        method: str = "l1",
        scope: WeightScope = "layer",
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        structured: Structured | None = None,
        block: Block | None = None,
        min_density: float = 0.0,
        on_empty: OnEmpty = "keep",
        seed: int = 0,
        prune_affine: bool = True,
    ) -> None:
        if not isinstance(schedule, PolynomialSchedule):
            raise MaskError(f"schedule must be a PolynomialSchedule, got {shown(schedule)}")
        self.schedule = schedule
        self.masks: Masks | None = None
        self.last_update: int | None = None
        self._options: dict[str, Any] = {
            "method": method,
            "scope": scope,
            "include": include,
            "exclude": exclude,
            "structured": structured,
            "block": block,
            "min_density": min_density,
            "on_empty": on_empty,
            "seed": seed,
            "prune_affine": prune_affine,
        }
        # Bad patterns and options are errors before the first epoch, not after it.
        prunable_weights(model, include, exclude)
        find_masks(model, sparsity=schedule.final, **self._options)

    def after_step(self, step: int, model: nn.Module) -> None:
        """Call with the number of the optimizer step just taken; updates (when due) and applies the masks."""
        if self.schedule.is_due(step, self.last_update):
            target = self.schedule.sparsity(step)
            self.masks = find_masks(model, sparsity=target, within=self.masks, **self._options)
            self.masks.info["schedule"] = asdict(self.schedule) | {"step": step}
            self.last_update = step
        if self.masks is not None:
            self.masks.apply(model)

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors only, so that a checkpoint can be read without unpickling code."""
        return {
            "schedule": asdict(self.schedule),
            "options": self._plain_options(),
            "last_update": self.last_update,
            "masks": None if self.masks is None else dict(self.masks),
            "affine": None if self.masks is None else sorted(self.masks.affine),
            "info": None if self.masks is None else self.masks.info,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``; CheckpointError if it was saved with another schedule or other options."""
        for key, own in (
            ("schedule", asdict(self.schedule)),
            ("options", self._plain_options()),
        ):
            if state.get(key) != own:
                raise CheckpointError(
                    f"the checkpoint was pruned with another {key}: {state.get(key)}; this run has {own}"
                )
        self.last_update = state["last_update"]
        kept: dict[str, torch.Tensor] | None = state["masks"]
        self.masks = None if kept is None else Masks(kept, state["info"], state["affine"])

    def _plain_options(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in self._options.items()}
