"""Average precision on WIDERFACE by the benchmark's own protocol: easy, medium and hard.

Yang et al. 2016, "WIDER FACE: A Face Detection Benchmark", section 4, and the evaluation code the authors publish: each
setting counts some of the faces and ignores the rest, so that finding those is neither right nor wrong.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.errors import DataError
from sparsenet.io.files import read_whole
from sparsenet.limits import memory_limit
from training.detection.widerface import AnnotatedImage

SETTINGS = ("easy", "medium", "hard")
THRESHOLDS = 1000
Boxes = npt.NDArray[np.floating]
Scores = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


class AveragePrecision(NamedTuple):
    """One figure for each setting, 0 to 1."""

    easy: float
    medium: float
    hard: float


@dataclass(frozen=True)
class ImageTruth:
    """The faces of one image: boxes (k, 4), left, top, width, height; and for each setting which of them count."""

    boxes: npt.NDArray[np.floating]
    counted: Mapping[str, Flags]


@dataclass(frozen=True)
class GroundTruth:
    """Image name (``event/file`` without suffix) → its faces."""

    images: Mapping[str, ImageTruth]

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> GroundTruth:
        """Read ``wider_{easy,medium,hard}_val.mat``, or the test set's, from ``folder``.

        Raises:
            DataError: a file is missing or not what it should be.
        """
        faces: dict[str, Boxes] = {}
        counted: dict[str, dict[str, Flags]] = {}
        for setting in SETTINGS:
            for name, boxes, flags in _read_setting(Path(folder), setting):
                faces[name] = boxes
                counted.setdefault(name, {})[setting] = flags
        return cls({name: ImageTruth(boxes, counted[name]) for name, boxes in faces.items()})

    @classmethod
    def of(cls, images: Iterable[AnnotatedImage]) -> GroundTruth:
        """Annotated images without official settings: every face counts in each of the three."""
        return cls(
            {
                image.name: ImageTruth(
                    np.concatenate([image.boxes[:, :2], image.boxes[:, 2:] - image.boxes[:, :2]], 1),
                    dict.fromkeys(SETTINGS, np.ones(len(image.boxes), np.bool_)),
                )
                for image in images
            }
        )

    def restricted(self, names: Iterable[str]) -> GroundTruth:
        """The same for these images alone. DataError if one is unknown."""
        wanted = list(names)
        unknown = [name for name in wanted if name not in self.images]
        if unknown:
            raise DataError(f"the ground truth does not know the image '{unknown[0]}'")
        return GroundTruth({name: self.images[name] for name in wanted})


def _read_setting(folder: Path, setting: str) -> Iterable[tuple[str, npt.NDArray[np.float64], Flags]]:
    import scipy.io

    path = folder / f"wider_{setting}_val.mat"
    try:
        values: dict[str, Any] = scipy.io.loadmat(io.BytesIO(read_whole(path, memory_limit())))
        lists = [values[key] for key in ("event_list", "file_list", "face_bbx_list", "gt_list")]
        for event, files, boxes, kept in zip(*(column[:, 0] for column in lists), strict=True):
            for file, faces, rows in zip(files[:, 0], boxes[:, 0], kept[:, 0], strict=True):
                flags = np.zeros(len(faces), np.bool_)
                flags[rows.astype(np.int64).ravel() - 1] = True  # MATLAB counts from 1
                yield f"{event[0]}/{file[0]}", faces.astype(np.float64).reshape(-1, 4), flags
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no ground truth of WIDERFACE ({error})") from None


def average_precision(
    detections: Mapping[str, tuple[Boxes, Scores]], truth: GroundTruth, iou: float = 0.5
) -> AveragePrecision:
    """Score the detections on every image of ``truth``; an image without detections has missed its faces.

    Args:
        detections: image name → boxes (k, 4), left, top, right, bottom in pixels, and scores (k,).
        truth: which images and faces count.
        iou: least overlap of a detection with a face it finds.

    Raises:
        DataError: detections of an image that ``truth`` does not have.
    """
    unknown = [name for name in detections if name not in truth.images]
    if unknown:
        raise DataError(f"the ground truth does not know the image '{unknown[0]}'")
    ranked = {name: _ranked(*found) for name, found in detections.items()}
    scores = {name: found[1] for name, found in _normalised(ranked).items()}
    overlaps = {name: _overlaps(ranked[name][0], truth.images[name].boxes) for name in ranked}
    return AveragePrecision(*(_setting(s, scores, overlaps, truth, iou) for s in SETTINGS))


def _ranked(boxes: Boxes, scores: Scores) -> tuple[Boxes, Scores]:
    order = np.argsort(-np.asarray(scores), kind="stable")
    return np.asarray(boxes, np.float64).reshape(-1, 4)[order], np.asarray(scores, np.float64)[order]


def _normalised(ranked: Mapping[str, tuple[Boxes, Scores]]) -> dict[str, tuple[Boxes, Scores]]:
    """Scores of all images together stretched to [0, 1]: the thresholds then suit any detector."""
    every = np.concatenate([scores for _, scores in ranked.values()]) if ranked else np.zeros(0)
    if every.size == 0:
        return dict(ranked)
    low, width = every.min(), max(float(np.ptp(every)), 1e-300)
    return {name: (boxes, (scores - low) / width) for name, (boxes, scores) in ranked.items()}


def _overlaps(boxes: Boxes, faces_xywh: Boxes) -> npt.NDArray[np.float64]:
    """Intersection over union (k, m), sides counted in whole pixels, both ends included, as the protocol does."""
    faces = np.concatenate([faces_xywh[:, :2], faces_xywh[:, :2] + faces_xywh[:, 2:]], axis=1)
    size = np.minimum(boxes[:, None, 2:], faces[:, 2:]) - np.maximum(boxes[:, None, :2], faces[:, :2]) + 1
    common = np.maximum(size, 0).prod(-1)
    area, face_area = ((b[:, 2:] - b[:, :2] + 1).prod(-1) for b in (boxes, faces))
    return common / (area[:, None] + face_area - common)


def _setting(
    setting: str,
    scores: Mapping[str, Scores],
    overlaps: Mapping[str, npt.NDArray[np.float64]],
    truth: GroundTruth,
    iou: float,
) -> float:
    faces = sum(int(image.counted[setting].sum()) for image in truth.images.values())
    judged = [
        (scores[name], *_judge(overlaps[name], truth.images[name].counted[setting], iou)) for name in scores
    ]
    if faces == 0 or not judged:
        return 0.0
    score, proposal, hit = (np.concatenate(column) for column in zip(*judged, strict=True))
    thresholds = 1 - np.arange(1, THRESHOLDS + 1) / THRESHOLDS
    order = np.argsort(-score, kind="stable")
    reached = np.searchsorted(-score[order], -thresholds, side="right")
    proposals, hits = (np.concatenate([[0], np.cumsum(flags[order])])[reached] for flags in (proposal, hit))
    precision = np.divide(hits, proposals, out=np.zeros(THRESHOLDS), where=proposals > 0)
    return area_under(hits / faces, precision)


def _judge(overlaps: npt.NDArray[np.float64], counted: Flags, iou: float) -> tuple[Flags, Flags]:
    """Of the detections of one image, best first: which count as proposals, and which find a counted face first.

    A detection belongs to the face it overlaps most. It is no proposal if that face is an ignored one; a second one
    of a counted face is a proposal without a hit.
    """
    proposal, hit = np.ones(len(overlaps), np.bool_), np.zeros(len(overlaps), np.bool_)
    if overlaps.size == 0:
        # The authors' code leaves an image without faces out, its false alarms too.
        return (proposal if overlaps.shape[1] else ~proposal), hit
    face = overlaps.argmax(1)
    found = overlaps.max(1) >= iou
    proposal[found] = counted[face[found]]
    right = np.flatnonzero(found & counted[face])
    hit[right[np.unique(face[right], return_index=True)[1]]] = True
    return proposal, hit


def area_under(recall: npt.NDArray[np.float64], precision: npt.NDArray[np.float64]) -> float:
    """Area under the curve whose precision is made monotonous: the VOC average precision since 2010.

    Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge", section 4.2.
    """
    r = np.concatenate([[0.0], recall, [1.0]])
    p = np.concatenate([[0.0], precision, [0.0]])
    envelope = np.maximum.accumulate(p[::-1])[::-1]
    return float(np.sum(np.diff(r) * envelope[1:]))
