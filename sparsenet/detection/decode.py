"""Raw outputs of the network for one image → boxes, scores and landmarks in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsenet.checks import real_number, whole_number
from sparsenet.detection.nms import non_maximum_suppression
from sparsenet.detection.priors import CENTRE_VARIANCE, SIZE_VARIANCE, prior_boxes
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray
from sparsenet.graph.feeds import real_array

LANDMARK_NAMES = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")


@dataclass(frozen=True)
class Detections:
    """Faces of one image, best first.

    Attributes:
        boxes: float32 (k, 4), left, top, right, bottom in pixels.
        scores: float32 (k,), 0 to 1.
        landmarks: float32 (k, 5, 2), x and y in pixels of what ``LANDMARK_NAMES`` lists, left as seen in the image.
    """

    boxes: FloatArray
    scores: FloatArray
    landmarks: FloatArray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_ | np.int64]) -> Detections:
        return Detections(self.boxes[rows], self.scores[rows], self.landmarks[rows])

    def rescaled(self, x: float, y: float) -> Detections:
        """These detections in an image ``x`` times as wide and ``y`` times as high."""
        factor = np.array([x, y], np.float32)
        return Detections(self.boxes * np.tile(factor, 2), self.scores, self.landmarks * factor)

    def clipped(self, width: int, height: int) -> Detections:
        """These detections with boxes cut off at the border of the image; landmarks may be outside."""
        return Detections(
            np.clip(self.boxes, 0, np.array([width, height] * 2, np.float32)), self.scores, self.landmarks
        )


@dataclass(frozen=True)
class Decoder:
    """Decodes a network's outputs, and says what to keep of them.

    Attributes:
        min_score: fainter faces are dropped. 0.02 suits average precision, 0.5 a drawing.
        iou: overlap above which the fainter of two boxes goes.
        candidates: how many of the best priors enter the suppression.
        faces: how many faces an image may have at most.
    """

    min_score: float = 0.02
    iou: float = 0.4
    candidates: int = 5000
    faces: int = 750

    def __post_init__(self) -> None:
        for name in ("min_score", "iou"):
            real_number(getattr(self, name), name, 0, 1)
        for name in ("candidates", "faces"):
            whole_number(getattr(self, name), name)

    def __call__(
        self, boxes: FloatArray, logits: FloatArray, landmarks: FloatArray, priors: FloatArray
    ) -> Detections:
        """The faces of one image.

        Args:
            boxes, logits, landmarks: the network's outputs, (P, 4), (P, 2) and (P, 10).
            priors: (P, 4), from ``prior_boxes``.

        Raises:
            InputError: one of them is no array of numbers of its shape.
        """
        count = len(priors) if isinstance(priors, np.ndarray) and priors.ndim else 0
        given = {
            "boxes": (boxes, 4),
            "logits": (logits, 2),
            "landmarks": (landmarks, 10),
            "priors": (priors, 4),
        }
        boxes, logits, landmarks, priors = (
            real_array(array, name, (count, size)) for name, (array, size) in given.items()
        )
        scores = face_scores(logits)
        chosen = np.flatnonzero(scores >= self.min_score)
        if len(chosen) > self.candidates:
            best = np.argsort(-scores[chosen], kind="stable")[: self.candidates]
            chosen = chosen[best]
        all_boxes = decode_boxes(boxes[chosen], priors[chosen])
        kept = non_maximum_suppression(all_boxes, scores[chosen], self.iou)[: self.faces]
        rows = chosen[kept]
        return Detections(all_boxes[kept], scores[rows], decode_landmarks(landmarks[rows], priors[rows]))


def face_scores(logits: FloatArray) -> FloatArray:
    """Probability of a face, (P,), from logits (P, 2) of background and face: their softmax."""
    difference = logits[:, 0] - logits[:, 1]
    scores: FloatArray = np.exp(-np.logaddexp(0, difference)).astype(np.float32)
    return scores


def decode_boxes(offsets: FloatArray, priors: FloatArray) -> FloatArray:
    """Boxes (k, 4), left, top, right, bottom, from offsets and priors (k, 4) each; units as the priors'."""
    centre = priors[:, :2] + offsets[:, :2] * CENTRE_VARIANCE * priors[:, 2:]
    # A network with wild outputs may ask for e^1000: stay within what float32 holds.
    half = priors[:, 2:] * np.exp(np.minimum(offsets[:, 2:] * SIZE_VARIANCE, 20)) / 2
    return np.concatenate([centre - half, centre + half], axis=1, dtype=np.float32)


def decode_landmarks(offsets: FloatArray, priors: FloatArray) -> FloatArray:
    """Five points (k, 5, 2) from offsets (k, 10) and priors (k, 4); units as the priors'."""
    points = offsets.reshape(-1, 5, 2)
    return (priors[:, None, :2] + points * CENTRE_VARIANCE * priors[:, None, 2:]).astype(np.float32)


def check_outputs(shapes: list[tuple[int | None, ...]], height: int, width: int) -> None:
    """Raise InputError unless per-image output ``shapes`` are those of a detector for images of that size."""
    count = len(prior_boxes(height, width))
    expected = [(count, 4), (count, 2), (count, 10)]
    if shapes != expected:
        raise InputError(
            f"this is no face detector: for {height}×{width} pixels it should have outputs {expected}, "
            f"it has {shapes}"
        )
