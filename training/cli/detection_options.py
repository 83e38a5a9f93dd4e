"""Options and steps that the commands for detectors share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsenet.errors import DataError

if TYPE_CHECKING:
    from training.detection.scoring import GroundTruth
    from training.detection.widerface import AnnotatedImage


def faces_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--annotations, --images, --scenes, --scenes-folder."""
    options = [
        click.option("--annotations", type=click.Path(path_type=Path),
                     help="WIDERFACE's wider_face_*_bbx_gt.txt, RetinaFace's label.txt, or the JSON index of a "
                          "subset.  [default: drawn scenes]"),
        click.option("--images", type=click.Path(path_type=Path),
                     help="Folder that the annotations' file names start from.  [default: where they lie]"),
        click.option("--scenes", type=click.IntRange(1), default=200, show_default=True,
                     help="How many scenes to draw."),
        click.option("--scenes-folder", type=click.Path(path_type=Path),
                     help="Write them there as images, and a label.txt, and read them from there the next time."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def annotated_images(options: Mapping[str, Any], side: int) -> list[AnnotatedImage]:
    """The images behind ``faces_options`` and ``--seed``; drawn ones are of ``side`` pixels."""
    from training.detection.drawn import draw_scenes, written
    from training.detection.widerface import load_faces

    annotations, images, folder = (options[name] for name in ("annotations", "images", "scenes_folder"))
    if annotations is None:
        if images is not None:
            raise DataError("--images needs --annotations, which say where the faces are")
        scenes = draw_scenes(options["scenes"], side, options["seed"])
        return list(scenes if folder is None else written(scenes, folder))
    if folder is not None:
        raise DataError("--scenes-folder is for drawn scenes; --annotations bring their own images")
    return list(load_faces(annotations, images or annotations.parent))


def ground_truth(folder: Path | None, images: list[AnnotatedImage]) -> GroundTruth:
    """The official settings from ``folder``, or every annotated face in each of them."""
    from training.detection.scoring import GroundTruth

    return GroundTruth.of(images) if folder is None else GroundTruth.load(folder)
