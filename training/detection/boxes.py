"""Faces to training targets: which prior answers for which face, and the offsets it should predict."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sparsenet.detection.priors import CENTRE_VARIANCE, SIZE_VARIANCE

#: Columns of a target row: box, landmarks, label.
BOX, LANDMARKS, LABEL = slice(0, 4), slice(4, 14), 14
TARGET_VALUES = 15
#: Labels: padding; a face whose landmarks nobody marked; a face with landmarks.
NO_FACE, FACE_WITHOUT_LANDMARKS, FACE = 0, -1, 1


class Match(NamedTuple):
    """What each of P priors should say: label (P,), box offsets (P, 4), landmark offsets (P, 10)."""

    labels: Tensor
    boxes: Tensor
    landmarks: Tensor


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (k, m) of boxes (k, 4) and (m, 4): left, top, right, bottom."""
    size = (torch.minimum(a[:, None, 2:], b[:, 2:]) - torch.maximum(a[:, None, :2], b[:, :2])).clamp_(min=0)
    common = size[..., 0] * size[..., 1]
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(1) for x in (a, b))
    return common / (area_a[:, None] + area_b - common).clamp_(min=1e-12)


def corners(priors: Tensor) -> Tensor:
    """Priors (P, 4), centre and size, as left, top, right, bottom."""
    return torch.cat([priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2], 1)


def encode_boxes(boxes: Tensor, priors: Tensor) -> Tensor:
    """Offsets (k, 4) that ``sparsenet.detection.decode.decode_boxes`` turns back into ``boxes``."""
    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2 - priors[:, :2]) / (CENTRE_VARIANCE * priors[:, 2:])
    size = torch.log((boxes[:, 2:] - boxes[:, :2]) / priors[:, 2:]) / SIZE_VARIANCE
    return torch.cat([centre, size], 1)


def encode_landmarks(points: Tensor, priors: Tensor) -> Tensor:
    """Offsets (k, 10) of points (k, 10): x and y in turn."""
    steps = (points.view(-1, 5, 2) - priors[:, None, :2]) / (CENTRE_VARIANCE * priors[:, None, 2:])
    return steps.reshape(-1, 10)


def match(faces: Tensor, priors: Tensor, threshold: float = 0.35, least: float = 0.2) -> Match:
    """Give every prior the face it overlaps most, and every face the prior that overlaps it most.

    Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.2, with RetinaFace's thresholds.

    Args:
        faces: (k, 15) target rows, padding left out.
        priors: (P, 4), centre and size.
        threshold: a prior that overlaps its face by less is background,
        least: unless no prior overlaps that face more, and it overlaps by at least this.
    """
    if len(faces) == 0:
        return Match(
            priors.new_zeros(len(priors)), torch.zeros_like(priors), priors.new_zeros(len(priors), 10)
        )
    overlaps = iou(faces[:, BOX], corners(priors))
    best_overlap, best_face = overlaps.max(0)
    own_overlap, own_prior = overlaps.max(1)
    numbers = torch.arange(len(faces), device=faces.device)
    claims = own_overlap >= least
    # Two faces may claim one prior: the later one gets it, on every device.
    best_face.scatter_reduce_(0, own_prior[claims], numbers[claims], "amax", include_self=False)
    best_overlap[own_prior[claims]] = 1.0
    chosen = faces[best_face]
    labels = chosen[:, LABEL].masked_fill(best_overlap < threshold, NO_FACE)
    return Match(labels, encode_boxes(chosen[:, BOX], priors), encode_landmarks(chosen[:, LANDMARKS], priors))
