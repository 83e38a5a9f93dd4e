"""Drawn scenes of several faces with their boxes and landmarks: what a detector can be tried on without a download."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from PIL import Image

from sparsenet.checks import MANY
from sparsenet.errors import DataError
from sparsenet.io.files import read_whole, write_atomically
from training.data.faces.geometry import EYES, MOUTH, NOSE_TIP, SNAPSHOT, Geometry
from training.data.faces.head import Head
from training.data.faces.mask import draw_mask
from training.data.faces.paint import Brush
from training.data.faces.scene import background, develop
from training.data.maskedface_net import CLASS_NAMES
from training.detection.widerface import FaceImage, load_faces

FloatArray = npt.NDArray[np.float32]
_SUPERSAMPLING = 2
#: Eyes, nose, corners of the mouth, in the face frame.
_LANDMARKS = np.array([(-0.32, EYES), (0.32, EYES), (0.0, NOSE_TIP), (-0.22, MOUTH), (0.22, MOUTH)])
_FOREHEAD = -0.8
_TRIES = 20


@dataclass(frozen=True)
class DrawnScene:
    """A scene that is drawn whenever it is read; otherwise as ``widerface.FaceImage``."""

    name: str
    boxes: FloatArray
    landmarks: FloatArray
    side: int
    seed: tuple[int, int]

    def read(self) -> tuple[Image.Image, tuple[int, int]]:
        """The image, RGB, and its width and height."""
        rng = np.random.default_rng(self.seed)
        faces = list(_faces(rng, self.side * _SUPERSAMPLING))
        image = background(rng, self.side * _SUPERSAMPLING)
        for face in faces:
            head, brush = Head(rng), Brush(image, face)
            head.back(brush)
            head.face(brush)
            if rng.random() < 0.5:
                draw_mask(image, face, rng)
            head.front(brush)
        return develop(image, rng, self.side), (self.side, self.side)


def draw_scenes(count: int, side: int = 256, seed: int = 0) -> list[DrawnScene]:
    """``count`` scenes of ``side`` × ``side`` pixels with one to four faces; scene i depends on seed and i alone.

    Raises:
        DataError: no scenes, too many, or too small ones, or a negative seed.
    """
    if not 1 <= count <= MANY or side < 64:
        raise DataError(f"cannot draw {count} scenes of {side} pixels: ask for at least 1 and 64 pixels")
    if seed < 0:
        raise DataError(f"seed {seed} is negative: use 0 or more")
    return [_scene(side, (seed, i)) for i in range(count)]


def _scene(side: int, seed: tuple[int, int]) -> DrawnScene:
    boxes, landmarks = [], []
    for face in _faces(np.random.default_rng(seed), side * _SUPERSAMPLING):
        edge = face.project(face.outline(top=_FOREHEAD))
        boxes.append(np.concatenate([edge.min(0), edge.max(0)]) / _SUPERSAMPLING)
        landmarks.append(face.project(_LANDMARKS) / _SUPERSAMPLING)
    clipped = np.clip(np.array(boxes, np.float32), 0, side)
    return DrawnScene(f"drawn/{seed[0]}_{seed[1]}", clipped, np.array(landmarks, np.float32), side, seed)


def _faces(rng: Generator, canvas: int) -> Iterator[Geometry]:
    """Poses of one to four faces that hardly overlap, the upper ones first: a body would hide what is below it."""
    placed: list[Geometry] = []
    for _ in range(int(rng.integers(1, 5))):
        for _ in range(_TRIES):
            pose = Geometry.sample(rng, int(rng.integers(len(CLASS_NAMES))), canvas, SNAPSHOT)
            scale = canvas * float(np.exp(rng.uniform(np.log(0.05), np.log(0.2))))
            centre = tuple(rng.uniform(1.1 * scale, canvas - 1.1 * scale, 2).tolist())
            pose = replace(pose, scale=scale, center=centre)
            if all(np.hypot(*np.subtract(p.center, centre)) > 2.0 * (p.scale + scale) * 0.75 for p in placed):
                placed.append(pose)
                break
    yield from sorted(placed, key=lambda face: face.center[1])


def written(scenes: Sequence[DrawnScene], folder: Path) -> list[FaceImage]:
    """The scenes as PNG files in ``folder`` beside a ``label.txt``, as RetinaFace has it; files that are there stay.

    Raises:
        DataError: the folder cannot be written to, or has the ``label.txt`` of other images.
    """
    labels = folder / "label.txt"
    text = "".join(_label(scene) for scene in scenes).encode()
    try:
        if labels.exists() and read_whole(labels, 2 * len(text)) != text:
            raise DataError(f"{labels} is of other images: name another folder")
        for scene in scenes:
            path = folder / f"{scene.name}.png"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = io.BytesIO()
                scene.read()[0].save(pixels, "PNG")
                write_atomically(path, pixels.getvalue())
        write_atomically(labels, text)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return load_faces(labels, folder)


def _label(scene: DrawnScene) -> str:
    """Of ``label.txt``: the file, and for each face left, top, width, height, five times x, y and a flag, and blur."""
    lines = [f"# {scene.name}.png"]
    for box, points in zip(scene.boxes, scene.landmarks, strict=True):
        numbers = [*box[:2], *(box[2:] - box[:2]), *np.insert(points, 2, 0, axis=1).ravel(), 0]
        lines.append(" ".join(f"{float(number):g}" for number in numbers))
    return "\n".join(lines) + "\n"
