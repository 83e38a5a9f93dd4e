"""Pruning: find which weights to keep, hold them at zero while training, store the masks as files.

``scores`` is the registry of criteria (``magnitude``, ``snip``, ``grasp``, ``synflow``, ``controls``), ``select`` turns
scores and a budget into masks, ``masks`` holds and applies them, ``schedule`` and ``gradual`` raise sparsity during
training, ``drop_schedule`` and ``dynamic`` move masks of a constant density. A new criterion is one small class;
everything else stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsenet.lazy import lazy_names

if TYPE_CHECKING:
    from training.pruning.controls import shuffle
    from training.pruning.drop_schedule import DropSchedule
    from training.pruning.dynamic import DynamicSparsity
    from training.pruning.find import find_masks
    from training.pruning.gradual import GradualPruner
    from training.pruning.masks import Masks
    from training.pruning.prunable import prunable_weights
    from training.pruning.rating import score_weights
    from training.pruning.schedule import PolynomialSchedule
    from training.pruning.scores import SCORERS, Scorer, register

__all__ = [
    "SCORERS",
    "DropSchedule",
    "DynamicSparsity",
    "GradualPruner",
    "Masks",
    "PolynomialSchedule",
    "Scorer",
    "find_masks",
    "prunable_weights",
    "register",
    "score_weights",
    "shuffle",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "shuffle": "controls",
        "DropSchedule": "drop_schedule",
        "DynamicSparsity": "dynamic",
        "find_masks": "find",
        "score_weights": "rating",
        "GradualPruner": "gradual",
        "Masks": "masks",
        "prunable_weights": "prunable",
        "PolynomialSchedule": "schedule",
        "SCORERS": "scores",
        "Scorer": "scores",
        "register": "scores",
    },
)
