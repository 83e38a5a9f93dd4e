"""Options and steps that the commands for detectors share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsenet.errors import DataError

if TYPE_CHECKING:
    from training.detection.scoring import GroundTruth
    from training.detection.widerface import AnnotatedImage


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
    from training.detection.drawn import draw_scenes
    from training.detection.widerface import load_faces

    if annotations is None:
        if images is not None:
            raise DataError("--images needs --annotations, which say where the faces are")
        return list(draw_scenes(scenes, side, seed))
    return list(load_faces(annotations, images or annotations.parent))


def ground_truth(folder: Path | None, images: list[AnnotatedImage]) -> GroundTruth:
    """The official settings from ``folder``, or every annotated face in each of them."""
    from training.detection.scoring import GroundTruth

    return GroundTruth.of(images) if folder is None else GroundTruth.load(folder)
