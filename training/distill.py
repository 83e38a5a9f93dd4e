"""Knowledge distillation: a student learns a teacher's softened probabilities (Hinton et al. 2015, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsenet.checks import items, real_number, shown, whole_number
from sparsenet.errors import InputError
from training.data.images import resize


def soft_targets(logits: Sequence[Tensor], temperature: float) -> Tensor:
    """Mean over teachers of softmax(logits / T): (N, classes) each → (N, classes).

    Raises:
        InputError: T is not positive, or there are no logits, or such of other shapes.
    """
    temperature = real_number(temperature, "temperature", above=True)
    answers = items(logits, "logits")
    if not answers or not all(isinstance(z, Tensor) and z.ndim == 2 for z in answers):
        raise InputError("logits must be tensors (N, classes), one for each teacher")
    if len({z.shape for z in answers}) > 1:
        raise InputError(
            f"logits of several teachers must have one shape, got {[tuple(z.shape) for z in answers]}"
        )
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

    Raises:
        InputError: a number is out of its range, or a tensor has another shape.
    """
    temperature = real_number(temperature, "temperature", above=True)
    alpha = real_number(alpha, "alpha", 0, 1)
    for name, tensor in (("student", student), ("targets", targets), ("labels", labels)):
        if not isinstance(tensor, Tensor):
            raise InputError(f"{name} must be a tensor, got {shown(tensor)}")
    if student.ndim != 2 or targets.shape != student.shape or labels.shape != student.shape[:1]:
        raise InputError(
            f"student and targets must be (N, classes), labels (N,); got {tuple(student.shape)}, "
            f"{tuple(targets.shape)} and {tuple(labels.shape)}"
        )
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
        if not items(self.teachers, "teachers"):
            raise InputError("distillation needs at least one teacher")
        real_number(self.temperature, "temperature", above=True)
        real_number(self.alpha, "alpha", 0, 1)
        for pair in self.teachers:
            if len(items(pair, "a teacher")) != 2 or not isinstance(pair[0], nn.Module):
                raise InputError("a teacher must be a pair of a torch.nn.Module and its input size")
            whole_number(pair[1], "a teacher's input size")
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
