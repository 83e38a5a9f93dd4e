"""Knowledge distillation: a student learns a teacher's softened probabilities (Hinton et al. 2015, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsenet.errors import InputError
from training.data.images import resize


def soft_targets(logits: Sequence[Tensor], temperature: float) -> Tensor:
    """Mean over teachers of softmax(logits / T): (N, classes) each → (N, classes)."""
    return torch.stack([F.softmax(z / temperature, dim=1) for z in logits]).mean(0)


def distillation_loss(
    student: Tensor, targets: Tensor, labels: Tensor, temperature: float = 5.0, alpha: float = 0.1
) -> Tensor:
    """alpha * CE(labels) + (1 - alpha) * T² * KL(targets ‖ softmax(student / T)), means over the batch.

    Both terms work on logits. T² keeps the soft term's gradient independent of T (Hinton et al. 2015, section 2.1).

    Args:
        student: logits (N, classes).
        targets: the teacher's probabilities at temperature T (N, classes); see ``soft_targets``.
        labels: class numbers (N,).
        temperature: T > 0; the inference-acceleration paper tries 5 and 10.
        alpha: weight of the hard labels, 0..1; the paper uses 0.1.
    """
    hard = F.cross_entropy(student, labels)
    soft = F.kl_div(F.log_softmax(student / temperature, dim=1), targets, reduction="batchmean")
    return alpha * hard + (1.0 - alpha) * temperature**2 * soft


@dataclass
class Distillation:
    """A training loss: the teachers see the very images the student saw, each at its own input size."""

    teachers: Sequence[tuple[nn.Module, int]]
    temperature: float = 5.0
    alpha: float = 0.1

    def __post_init__(self) -> None:
        if not self.teachers:
            raise InputError("distillation needs at least one teacher")
        if self.temperature <= 0 or not 0 <= self.alpha <= 1:
            raise InputError(
                f"need temperature > 0 and 0 <= alpha <= 1, got {self.temperature} and {self.alpha}"
            )
        for teacher, _ in self.teachers:
            teacher.eval().requires_grad_(False)

    def __call__(self, logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        """The loss of one batch: student logits (N, classes), labels (N,), the images the student saw."""
        with torch.no_grad():
            answers = [teacher(resize(images, size)).float() for teacher, size in self.teachers]
        targets = soft_targets(answers, self.temperature)
        return distillation_loss(logits, targets, labels, self.temperature, self.alpha)

    def to(self, device: torch.device) -> Distillation:
        """Move the teachers to ``device``."""
        for teacher, _ in self.teachers:
            teacher.to(device)
        return self
