"""``sparsenet detect``: the faces in an image, drawn and listed, by the engine alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsenet.commands.options import FiniteRange, json_option, model_argument, threads_option
from sparsenet.errors import InputError
from sparsenet.io.files import require_outputs, write_output
from sparsenet.text.table import render, to_json

if TYPE_CHECKING:
    from PIL.Image import Image

    from sparsenet.detection import Detections

EPILOG = """\b
Examples:
  sparsenet detect face-detector.safetensors group.jpg -o faces.png
  sparsenet detect face-detector.safetensors group.jpg --min-score 0.8 --json"""


@click.command(epilog=EPILOG)
@model_argument
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Image to write, the faces drawn on it (.png, .jpg).",
)
@click.option(
    "--min-score", type=FiniteRange(0, 1), default=0.5, show_default=True, help="Drop fainter faces."
)
@click.option(
    "--iou", type=FiniteRange(0, 1), default=0.4, show_default=True,
    help="Of two boxes that overlap by more, the better one stays.",
)  # fmt: skip
@threads_option
@json_option
def detect(
    model: Path,
    image: Path,
    output: Path | None,
    min_score: float,
    iou: float,
    threads: int | None,
    as_json: bool,
) -> None:
    """Find the faces in IMAGE with MODEL: boxes, scores and five landmarks each, in pixels.

    MODEL is the model file (or bundle) of a face detector. Images need Pillow, from the extra 'train'.
    """
    from sparsenet.detection import Decoder, load_detector
    from sparsenet.detection.draw import draw_detections
    from sparsenet.detection.image import read_image

    require_outputs([output], [model, image])
    picture = read_image(image)
    found = load_detector(model, threads, Decoder(min_score, iou))(picture)
    if output is not None:
        _save(draw_detections(picture, found), output)
    if as_json:
        click.echo(to_json(_faces(found)))
        return
    rows = [
        (number + 1, face["score"], *map(round, face["box"])) for number, face in enumerate(_faces(found))
    ]
    click.echo(f"{len(found)} faces in {image}" + (f", drawn in {output}" if output is not None else ""))
    if rows:
        click.echo("\n" + render(("face", "score", "left", "top", "right", "bottom"), rows))


def _faces(found: Detections) -> list[dict[str, Any]]:
    from sparsenet.detection.decode import LANDMARK_NAMES

    return [
        {
            "score": round(float(score), 4),
            "box": [round(float(v), 1) for v in box],
            "landmarks": {
                name: [round(float(v), 1) for v in point]
                for name, point in zip(LANDMARK_NAMES, points, strict=True)
            },
        }
        for box, score, points in zip(found.boxes, found.scores, found.landmarks, strict=True)
    ]


def _save(picture: Image, path: Path) -> None:
    from PIL import Image

    file_format = Image.registered_extensions().get(path.suffix.lower())
    if file_format is None or file_format not in Image.SAVE:
        raise InputError(f"{path}: unknown kind of image '{path.suffix}'; name a .png or .jpg file")
    buffer = io.BytesIO()
    picture.save(buffer, file_format)
    write_output(path, buffer.getvalue())
