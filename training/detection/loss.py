"""RetinaFace's multitask loss, with hard-negative mining."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sparsenet.detection.priors import prior_boxes
from sparsenet.errors import InputError
from training.detection.boxes import FACE, LABEL, NO_FACE, TARGET_VALUES, match


class LossParts(NamedTuple):
    """The three terms before weighting."""

    classification: Tensor
    boxes: Tensor
    landmarks: Tensor


class MultitaskLoss:
    """classification + ``box_weight`` · boxes + ``landmark_weight`` · landmarks, for images of one size.

    Deng et al. 2020, section 3.1, without the dense regression branch. Classification is softmax cross-entropy over
    the priors of faces and the ``negatives`` times as many background priors that are worst at it (Shrivastava et al.
    2016, online hard example mining; Liu et al. 2016, section 2.2); the others are smooth L1. Of an image without a
    matched face, ``negatives_without_face`` background priors count. Each is the mean over the
    priors of faces, for landmarks over those whose face has them.

    ``loss(outputs, targets)`` takes the model's outputs and target rows (N, K, 15) padded with zeros (see
    ``training.detection.boxes``): as such it also serves ``find_masks(..., loss=...)``.

    Args:
        height, width: of the images, in pixels.
        box_weight, landmark_weight: λ1 and λ2.
        negatives: background priors for each of a face.
        negatives_without_face: background priors of an image that has no face; 0, as with SSD's mining, lets it teach
            nothing.
        threshold: least overlap of a prior with its face.
    """

    def __init__(
        self,
        height: int,
        width: int,
        box_weight: float = 2.0,
        landmark_weight: float = 1.0,
        negatives: int = 7,
        threshold: float = 0.35,
        negatives_without_face: int = 0,
    ) -> None:
        self.priors = torch.from_numpy(prior_boxes(height, width))
        self.box_weight, self.landmark_weight = box_weight, landmark_weight
        self.negatives, self.threshold = negatives, threshold
        self.negatives_without_face = negatives_without_face

    def __call__(self, outputs: tuple[Tensor, Tensor, Tensor], targets: Tensor) -> Tensor:
        """The weighted sum, a scalar. InputError if shapes do not fit."""
        parts = self.parts(outputs, targets)
        return parts.classification + self.box_weight * parts.boxes + self.landmark_weight * parts.landmarks

    def parts(self, outputs: tuple[Tensor, Tensor, Tensor], targets: Tensor) -> LossParts:
        """The three terms; arguments as for the call."""
        boxes, logits, landmarks = outputs
        if boxes.shape[1] != len(self.priors) or targets.shape[-1] != TARGET_VALUES:
            raise InputError(
                f"the loss is made for {len(self.priors)} priors and targets of {TARGET_VALUES} values, got "
                f"{boxes.shape[1]} and {targets.shape[-1]}"
            )
        priors = self.priors = self.priors.to(boxes.device)
        rows = [match(t[t[:, LABEL] != NO_FACE], priors, self.threshold) for t in targets]
        labels = torch.stack([row.labels for row in rows])
        face, marked = labels != NO_FACE, labels == FACE
        wanted_boxes = torch.stack([row.boxes for row in rows])
        wanted_landmarks = torch.stack([row.landmarks for row in rows])
        faces = face.sum().clamp(min=1)
        return LossParts(
            self._classification(logits, face) / faces,
            F.smooth_l1_loss(boxes[face], wanted_boxes[face], reduction="sum") / faces,
            F.smooth_l1_loss(landmarks[marked], wanted_landmarks[marked], reduction="sum")
            / marked.sum().clamp(min=1),
        )

    def _classification(self, logits: Tensor, face: Tensor) -> Tensor:
        losses = F.cross_entropy(logits.transpose(1, 2), face.long(), reduction="none")
        with torch.no_grad():
            wrong = losses.masked_fill(face, -1.0)
            rank = wrong.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
            faces = face.sum(1, keepdim=True)
            count = torch.where(faces > 0, self.negatives * faces, self.negatives_without_face)
            hard = (rank < count) & ~face
        return losses[face | hard].sum()
