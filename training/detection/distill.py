"""Fine-tuning beside the dense detector: what it sees on the same crop is the target."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.detection.loss import MultitaskLoss

Outputs = tuple[Tensor, Tensor, Tensor]


class TeacherLoss:
    """Distance from a teacher's outputs, plus ``annotations`` times the multitask loss on annotated faces.

    The distance is KL(teacher ‖ student) of the classes over all priors (Hinton et al. 2015, at temperature 1) and
    smooth L1 of boxes and landmarks, each prior weighed by the teacher's probability of a face; all divided by the sum
    of these weights. It teaches landmarks even on images where nobody marked any, and keeps what the teacher learned
    from many images while the student sees few.

    Args:
        teacher: a trained detector; a copy of it is kept, in evaluation mode.
        multitask: the loss on annotated faces.
        annotations: its weight; 0 looks at the teacher alone.
        least: priors where the teacher sees a face with a smaller probability do not enter the smooth L1.
    """

    def __init__(
        self, teacher: nn.Module, multitask: MultitaskLoss, annotations: float = 0.0, least: float = 0.1
    ) -> None:
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        self.multitask, self.annotations, self.least = multitask, annotations, least

    def __call__(self, outputs: Outputs, targets: Tensor, pixels: Tensor) -> Tensor:
        """The loss, a scalar."""
        with torch.no_grad():
            wanted = self.teacher.to(pixels.device)(pixels)
        distance = self.distance(outputs, wanted)
        return (
            distance + self.annotations * self.multitask(outputs, targets) if self.annotations else distance
        )

    def distance(self, outputs: Outputs, wanted: Outputs) -> Tensor:
        """How far ``outputs`` are from the teacher's; a scalar."""
        boxes, logits, landmarks = outputs
        teacher = F.log_softmax(wanted[1], dim=2)
        face = teacher[..., 1].exp()
        face = face.masked_fill(face < self.least, 0.0)
        total = face.sum().clamp(min=1.0)
        classes = F.kl_div(F.log_softmax(logits, dim=2), teacher, reduction="sum", log_target=True)
        steps = F.smooth_l1_loss(boxes, wanted[0], reduction="none").sum(2)
        steps = steps + F.smooth_l1_loss(landmarks, wanted[2], reduction="none").sum(2)
        return (classes + (face * steps).sum()) / total
