"""Run a detector over annotated images and score it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from tqdm import tqdm

from sparsenet.detection import Decoder, Detections, Detector
from sparsenet.graph import FloatArray
from training.checkpoint import ModelInfo
from training.detection.scoring import AveragePrecision, GroundTruth, average_precision
from training.detection.widerface import AnnotatedImage


def torch_detector(model: nn.Module, info: ModelInfo, decoder: Decoder | None = None) -> Detector:
    """A Detector that asks PyTorch, in evaluation mode, on the model's own device."""
    model.eval()

    @torch.no_grad()
    def network(x: FloatArray) -> tuple[FloatArray, ...]:
        device = next(model.parameters()).device
        return tuple(output.float().cpu().numpy() for output in model(torch.from_numpy(x).to(device)))

    size = info.input_size
    return Detector(network, size, size, info.mean, info.std, decoder)


def find_faces(
    detector: Detector, images: Sequence[AnnotatedImage], progress: bool = True
) -> dict[str, Detections]:
    """Image name → its detections, in the pixels of its annotations. DataError for a bad image.

    Where several files show one photograph, the first of them is looked at.
    """
    found = {}
    first = list({item.name: item for item in reversed(images)}.values())[::-1]
    for item in tqdm(first, unit="image", leave=False, disable=None if progress else True):
        image, frame = item.read()
        found[item.name] = detector(image, frame)
    return found


def evaluate_detector(
    detector: Detector, images: Sequence[AnnotatedImage], truth: GroundTruth, progress: bool = True
) -> AveragePrecision:
    """Average precision on these images, of the faces that ``truth`` has on them."""
    found = find_faces(detector, images, progress)
    return average_precision(
        {name: (faces.boxes, faces.scores) for name, faces in found.items()}, truth.restricted(found)
    )
