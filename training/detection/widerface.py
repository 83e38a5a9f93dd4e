"""WIDERFACE as files: images and the three kinds of annotation they come with.

- ``wider_face_train_bbx_gt.txt``, the data set's own: a file name, the number of faces, a line for each with left, top,
  width, height, blur, expression, illumination, invalid, occlusion, pose.
- ``label.txt`` of RetinaFace: ``# file name``, then a line per face with left, top, width, height, five times x, y and
  a flag, and a last number for blur. -1 stands for landmarks that nobody marked.
- a JSON index of a subset whose files are stretched: file → event_path, orig_wh, boxes_xyxy_orig.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from sparsenet.detection.image import read_image
from sparsenet.errors import DataError, InputError, MemoryLimitError
from sparsenet.io import strict_json
from sparsenet.io.files import read_whole
from sparsenet.limits import memory_limit
from training.data.files import inside

if TYPE_CHECKING:
    from PIL.Image import Image

FloatArray = npt.NDArray[np.float32]
WITH_LANDMARKS = 4 + 5 * 3
OFFICIAL_VALUES, INVALID = 10, 7
#: Bytes of an annotation file, and in memory of one of them; a number of pixels that no image has.
MAX_BYTES, BYTES_PER_BYTE, LARGEST = 2**27, 32, 1e6


class AnnotatedImage(Protocol):
    """An image, its name, and where its faces are: what training and scoring ask for."""

    @property
    def name(self) -> str:
        """What the ground truth calls it."""

    @property
    def boxes(self) -> FloatArray:
        """(k, 4), left, top, right, bottom in pixels."""

    @property
    def landmarks(self) -> FloatArray:
        """(k, 5, 2) in pixels, NaN where nobody marked them."""

    def read(self) -> tuple[Image, tuple[int, int]]:
        """RGB pixels, and the width and height in whose pixels the faces are given."""


@dataclass(frozen=True)
class FaceImage:
    """An image and its faces.

    Attributes:
        name: event and file, without suffix, as the ground truth knows it: ``0--Parade/0_Parade_marchingband_1_20``.
        path: the image file.
        boxes: float32 (k, 4), left, top, right, bottom in pixels.
        landmarks: float32 (k, 5, 2) in pixels; NaN where nobody marked them.
        size: width and height of the frame those pixels belong to, where the file is a stretched copy; else None.
    """

    name: str
    path: Path
    boxes: FloatArray
    landmarks: FloatArray
    size: tuple[int, int] | None = None

    def read(self) -> tuple[Image, tuple[int, int]]:
        """The file's pixels, RGB, and the width and height of the boxes' frame. DataError for a bad file."""
        try:
            image = read_image(self.path)
        except (InputError, MemoryLimitError) as error:
            raise DataError(str(error)) from None
        return image, self.size or image.size


def load_faces(annotations: str | os.PathLike[str], images: str | os.PathLike[str]) -> list[FaceImage]:
    """Read an annotation file of any of the three kinds.

    Args:
        annotations: the file.
        images: folder that its file names start from.

    Raises:
        DataError: it cannot be read, is of no known kind, or a line of it is malformed.
    """
    path, folder = Path(annotations), Path(images)
    try:
        text = read_whole(path, min(MAX_BYTES, memory_limit() // BYTES_PER_BYTE)).decode()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, MemoryLimitError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    reader: Callable[[Path, list[str], Path], Iterator[FaceImage]]
    reader = _retinaface if text.startswith("#") else _official
    json_like, lines = text.lstrip().startswith("{"), text.rstrip().split("\n") if text.strip() else []
    faces = list(_subset(path, text, folder) if json_like else reader(path, lines, folder))
    if not faces:
        raise DataError(f"{path}: holds no annotations")
    seen = set()
    for face in faces:
        if face.path in seen:
            raise DataError(f"{path}: '{face.name}' appears twice")
        seen.add(face.path)
    return faces


def _official(path: Path, lines: list[str], folder: Path) -> Iterator[FaceImage]:
    at = 0
    while at < len(lines):
        name = lines[at].strip()
        try:
            count = int(lines[at + 1])
            if not 0 <= count < len(lines):
                raise ValueError
        except (IndexError, ValueError):
            raise DataError(f"{path}, line {at + 2}: expected the number of faces in {name}") from None
        # An image without faces is followed by one line of zeros.
        rows = [_numbers(path, at + 2 + i, lines, OFFICIAL_VALUES) for i in range(max(count, 1))]
        valid = [r[:4] for r in rows[:count] if r[2] > 0 and r[3] > 0 and r[INVALID] == 0]
        yield _face_image(path, folder, name, np.array(valid, np.float32).reshape(-1, 4), None)
        at += 2 + max(count, 1)


def _retinaface(path: Path, lines: list[str], folder: Path) -> Iterator[FaceImage]:
    starts = [i for i, line in enumerate(lines) if line.startswith("#")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        rows = [_numbers(path, i, lines, 4) for i in range(start + 1, end) if lines[i].strip()]
        rows = [row for row in rows if row[2] > 0 and row[3] > 0]
        boxes = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
        points = np.full((len(rows), 5, 2), np.nan, np.float32)
        for i, row in enumerate(rows):
            if len(row) >= WITH_LANDMARKS and row[4] >= 0:
                points[i] = np.array(row[4:WITH_LANDMARKS], np.float32).reshape(5, 3)[:, :2]
        yield _face_image(path, folder, lines[start][1:].strip(), boxes, points)


def _numbers(path: Path, line: int, lines: list[str], at_least: int) -> list[float]:
    try:
        values = [float(word) for word in lines[line].split()]
    except (IndexError, ValueError):
        values = []
    if len(values) < at_least or not all(abs(value) < LARGEST for value in values):  # NaN is not
        raise DataError(f"{path}, line {line + 1}: expected at least {at_least} numbers")
    return values


def _face_image(
    path: Path, folder: Path, file: str, boxes_xywh: FloatArray, points: FloatArray | None
) -> FaceImage:
    try:
        place = inside(folder, file)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    boxes = boxes_xywh.copy()
    boxes[:, 2:] += boxes[:, :2]
    if points is None:
        points = np.full((len(boxes), 5, 2), np.nan, np.float32)
    return FaceImage(file.rpartition(".")[0] or file, place, boxes, points)


def _subset(path: Path, text: str, folder: Path) -> Iterator[FaceImage]:
    try:
        for file, entry in strict_json.parse(text).items():
            corners = np.array(entry["boxes_xyxy_orig"], np.float64).reshape(-1, 4)
            width, height = map(int, entry["orig_wh"])
            if not (0 < width < LARGEST and 0 < height < LARGEST and (np.abs(corners) < LARGEST).all()):
                raise ValueError(f"'{file}', whose sizes or boxes are impossible")
            boxes = corners.astype(np.float32)
            boxes = boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]
            unknown = np.full((len(boxes), 5, 2), np.nan, np.float32)
            name = str(entry["event_path"]).rpartition(".")[0]
            yield FaceImage(name, inside(folder, file), boxes, unknown, (width, height))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no index of a subset: {type(error).__name__} at {error}") from None
