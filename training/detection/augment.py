"""Random training crops, as RetinaFace draws them: a square, mirrored or not, its colours distorted.

Deng et al. 2020, section 4.2 ("Data augmentation"). Each crop depends on (seed, epoch, image) alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.Image import Resampling

from training.detection.boxes import FACE, FACE_WITHOUT_LANDMARKS, TARGET_VALUES
from training.detection.config import CROP_SCALES

if TYPE_CHECKING:
    from numpy.random import Generator

FloatArray = npt.NDArray[np.float32]
CROP_TRIES = 250
MIRRORED = [1, 0, 2, 4, 3]  # left and right change places when the image is mirrored
RESAMPLING = (
    Resampling.NEAREST,
    Resampling.BILINEAR,
    Resampling.BICUBIC,
    Resampling.LANCZOS,
    Resampling.BOX,
)


@dataclass(frozen=True)
class Crop:
    """Square crops of ``size`` pixels a side.

    Attributes:
        size: of the crop after resizing.
        mean, std: (3,) normalisation of RGB values in [0, 1].
        scales: sides to choose from, in units of the image's shorter side.
        colour: whether to distort colours.
        min_face: faces with a shorter side, in pixels of the crop, are left out.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scales: tuple[float, ...] = CROP_SCALES
    colour: bool = True
    min_face: float = 0.0

    def __call__(
        self,
        image: Image.Image,
        frame: tuple[int, int],
        boxes: FloatArray,
        landmarks: FloatArray,
        rng: Generator,
    ) -> tuple[FloatArray, FloatArray]:
        """A random crop: pixels float32 (3, size, size), normalised, and target rows (k, 15).

        Args:
            image: RGB; may be a stretched copy of
            frame: the width and height in whose pixels boxes and landmarks are given.
            boxes: (k, 4). landmarks: (k, 5, 2), NaN where unknown.
            rng: the only source of randomness.
        """
        left, top, side = self._square(frame, boxes, rng)
        pixels, inside = self._cut(image, frame, (left, top, side), rng)
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        here = np.all((centre >= (left, top)) & (centre < (left + side, top + side)), axis=1)
        scale = self.size / side
        boxes = np.clip((boxes[here] - np.tile((left, top), 2)) * scale, 0, self.size)
        landmarks = (landmarks[here] - (left, top)) * scale
        large = (boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf) > self.min_face
        boxes, landmarks = boxes[large], landmarks[large]
        if self.colour:
            inside = distort_colour(inside, rng)
        width, height = inside.size
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        values = (np.asarray(inside, np.float32) / 255 - mean) / std
        pixels[:, :height, :width] = values.transpose(2, 0, 1)
        if rng.random() < 0.5:
            pixels = pixels[:, :, ::-1]
            boxes[:, [0, 2]] = self.size - boxes[:, [2, 0]]
            landmarks = landmarks[:, MIRRORED]
            landmarks[..., 0] = self.size - landmarks[..., 0]
        return np.ascontiguousarray(pixels), target_rows(boxes, landmarks)

    def _square(
        self, frame: tuple[int, int], boxes: FloatArray, rng: Generator
    ) -> tuple[float, float, float]:
        """Left, top and side of a square with at least one whole face in it; without one, a square around all."""
        for _ in range(CROP_TRIES if len(boxes) else 1):
            side = float(rng.choice(self.scales)) * min(frame)
            left, top = (float(rng.integers(0, max(1, int(length - side) + 1))) for length in frame)
            corner, opposite = np.array([left, top]), np.array([left + side, top + side])
            whole = np.all((boxes[:, :2] >= corner) & (boxes[:, 2:] <= opposite), axis=1)
            if whole.any() or not len(boxes):
                return left, top, side
        return 0.0, 0.0, float(max(frame))

    def _cut(
        self,
        image: Image.Image,
        frame: tuple[int, int],
        square: tuple[float, float, float],
        rng: Generator,
    ) -> tuple[FloatArray, Image.Image]:
        """An empty crop, the colour ``mean``, and the part of the image that belongs in its upper left corner."""
        left, top, side = square
        right, bottom = min(left + side, frame[0]), min(top + side, frame[1])
        size = tuple(max(1, round(v / side * self.size)) for v in (right - left, bottom - top))
        x, y = image.width / frame[0], image.height / frame[1]
        method = RESAMPLING[int(rng.integers(len(RESAMPLING)))]
        part = image.resize((size[0], size[1]), method, (left * x, top * y, right * x, bottom * y))
        return np.zeros((3, self.size, self.size), np.float32), part


def target_rows(boxes: FloatArray, landmarks: FloatArray) -> FloatArray:
    """Target rows (k, 15) of boxes (k, 4) and landmarks (k, 5, 2), NaN where nobody marked them."""
    rows = np.zeros((len(boxes), TARGET_VALUES), np.float32)
    marked: npt.NDArray[np.bool_] = np.all(np.isfinite(landmarks.reshape(-1, 10)), axis=1)
    rows[:, :4] = boxes
    rows[:, 4:14] = np.where(marked[:, None], landmarks.reshape(-1, 10), 0)
    rows[:, 14] = np.where(marked, FACE, FACE_WITHOUT_LANDMARKS)
    return rows


def distort_colour(image: Image.Image, rng: Generator) -> Image.Image:
    """Brightness, contrast, saturation and hue, each changed half of the time (Liu et al. 2016, section 3.6)."""
    brightness = rng.uniform(-32, 32) if rng.random() < 0.5 else 0.0
    contrast = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
    saturation = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
    hue = (
        rng.uniform(-25.6, 25.6) if rng.random() < 0.5 else 0.0
    )  # of 256, a tenth of the circle to either side
    pixels = np.clip((np.asarray(image, np.float32) + brightness) * contrast, 0, 255)
    hsv = np.asarray(Image.fromarray(pixels.astype(np.uint8)).convert("HSV"), np.float32).copy()
    hsv[..., 0] = (hsv[..., 0] + hue) % 256
    hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 255)
    return Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB")
