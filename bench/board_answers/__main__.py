"""``python -m bench.board_answers``: does a board give the engine's answers on the test images of a data set?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from bench.boards.board import BOARDS, Board
from bench.measure.command import bench_command
from bench.measure.options import json_option
from sparsenet import Graph
from sparsenet.errors import InputError
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render

if TYPE_CHECKING:
    from training.data.images import LabeledImages


@bench_command(
    "python -m bench.board_answers face.safetensors face.int8.safetensors --data DIR",
    "python -m bench.board_answers face.safetensors --data DIR --board cortex-m55 --json out.json",
)
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Images: MaskedFace-Net as published, or a folder for each class; the test split is shown.",
)
@click.option("--board", type=click.Choice(list(BOARDS)), default="cortex-m7", show_default=True)
@click.option("--count", type=click.IntRange(1), help="Show so many images, drawn at random.  [default: all]")
@json_option
def main(models: tuple[Path, ...], data: Path, board: str, count: int | None, json_file: Path | None) -> None:
    """Show the test images to trained classifiers in C, and compare their answers with the engine's.

    Both are given the same numbers, the board row by row. Networks in float32 are exported with weights in float32 and
    in bytes; the engine has the same.
    """
    require_outputs([json_file])
    from bench.measure.output import write_json
    from bench.measure.versions import versions

    if BOARDS[board].missing:
        raise InputError(str(BOARDS[board].missing))
    rows = list(_rows(models, data, board, count))
    click.echo(render(list(rows[0]), [list(row.values()) for row in rows]))
    if json_file is not None:
        write_json(json_file, {"versions": versions(), "rows": rows})


def _rows(models: tuple[Path, ...], data: Path, board: str, count: int | None) -> Iterator[dict[str, Any]]:
    from sparsenet import load_graph
    from training.data.images import drawn_at_random
    from training.data.load import load_images

    for model in models:
        graph = load_graph(model)
        side = graph.inputs[0].shape[-1]
        shapes = [info.shape[1:] for info in graph.inputs]
        if not isinstance(side, int) or shapes != [(3, side, side)] or len(graph.outputs) != 1:
            raise InputError(f"{model}: expected one input of 3 x S x S pixels and one output")
        images = load_images(data, side, split="test")
        images = drawn_at_random(images, count or len(images), seed=0)
        for values in ("f32",) if graph.quantization else ("f32", "i8"):
            yield {
                "model": model.stem,
                "weights": "int8" if graph.quantization else values,
                **_answered(graph, values, images, BOARDS[board]),
            }


def _answered(graph: Graph, values: str, images: LabeledImages, board: Board) -> dict[str, Any]:
    """How the answers of a board and of the engine agree, with each other and with the labels."""
    from bench.board_answers.answers import board_answers
    from bench.measure.output import bar
    from sparsenet import Engine, export_c
    from sparsenet.targets.c99.weights import as_stored
    from training.demo.model_files import batches

    engine = Engine(as_stored(graph, values), threads=1)
    answers, expected = [], [np.asarray(engine(batch)) for batch in batches(images, images.size)]
    with tempfile.TemporaryDirectory() as folder, bar(len(images), "image", leave=False) as progress:
        exported = export_c(graph, folder, values=values, layout="hwc", target=board.target)
        for found in board_answers(board, exported, Path(folder), batches(images, images.size)):
            answers.append(found)
            progress.update(len(found))
    ours, theirs, labels = np.concatenate(answers), np.concatenate(expected), images.labels.numpy()
    return {
        "images": len(labels),
        "same class": int((ours.argmax(1) == theirs.argmax(1)).sum()),
        "largest difference": float(np.abs(ours - theirs).max() / np.abs(theirs).max()),
        "accuracy of the board": float((ours.argmax(1) == labels).mean()),
        "of the engine": float((theirs.argmax(1) == labels).mean()),
        "RAM kB": exported.report["ram"]["arena_bytes"] / 1024,
        "constants kB": exported.report["flash"]["constant_bytes"] / 1024,
    }


if __name__ == "__main__":
    main()
