"""Options and steps that the commands for detectors share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sparsenet.errors import DataError
from training.detection.average_precision import GroundTruth
from training.detection.drawn import draw_scenes
from training.detection.widerface import AnnotatedImage, load_faces


class Numbers(click.ParamType):
    """``0.5,0.9``: numbers of a range with commas between."""

    name = "numbers"

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Parse the text; a value that is parsed already passes."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in str(value).replace(",", " ").split())
        except ValueError:
            self.fail(f"'{value}' is not a list of numbers, for example 0.5,0.9", param, ctx)
        if not numbers or not all(self.low <= number <= self.high for number in numbers):
            self.fail(f"'{value}': expected numbers from {self.low:g} to {self.high:g}", param, ctx)
        return numbers


def faces_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--annotations, --images, --scenes."""
    options = [
        click.option("--annotations", type=click.Path(path_type=Path),
                     help="WIDERFACE's wider_face_*_bbx_gt.txt, RetinaFace's label.txt, or the JSON index of a "
                          "subset.  [default: drawn scenes]"),
        click.option("--images", type=click.Path(path_type=Path),
                     help="Folder that the annotations' file names start from.  [default: where they lie]"),
        click.option("--scenes", type=click.IntRange(1), default=200, show_default=True,
                     help="How many scenes to draw."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def annotated_images(
    annotations: Path | None, images: Path | None, scenes: int, side: int, seed: int
) -> list[AnnotatedImage]:
    """The images behind ``faces_options``; drawn ones are of ``side`` pixels."""
    if annotations is None:
        if images is not None:
            raise DataError("--images needs --annotations, which say where the faces are")
        return list(draw_scenes(scenes, side, seed))
    return list(load_faces(annotations, images or annotations.parent))


def ground_truth(folder: Path | None, images: list[AnnotatedImage]) -> GroundTruth:
    """The official settings from ``folder``, or every annotated face in each of them."""
    return GroundTruth.of(images) if folder is None else GroundTruth.load(folder)
