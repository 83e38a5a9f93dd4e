"""Pruning: find which weights to keep, hold them at zero while training, store the masks as files.

``scores`` says how important a weight is, ``select`` turns scores and a budget into masks, ``masks`` holds
and applies them, ``schedule`` and ``gradual`` raise sparsity during training. A new criterion is one function
in ``scores``; everything else stays as it is.
"""

from __future__ import annotations

from training.pruning.find import find_masks
from training.pruning.gradual import GradualPruner
from training.pruning.masks import Masks
from training.pruning.prunable import prunable_weights
from training.pruning.schedule import PolynomialSchedule
from training.pruning.scores import SCORERS, Scorer, register

__all__ = [
    "SCORERS",
    "GradualPruner",
    "Masks",
    "PolynomialSchedule",
    "Scorer",
    "find_masks",
    "prunable_weights",
    "register",
]
