"""``sparsenet run``: one inference from the shell."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from sparsenet.commands.options import (
    device_option,
    json_option,
    model_argument,
    seconds_text,
    threads_option,
)
from sparsenet.graph import FloatArray
from sparsenet.graph.feeds import random_inputs
from sparsenet.io.files import require_outputs, write_output
from sparsenet.io.input_files import read_inputs
from sparsenet.io.metadata import class_names
from sparsenet.text.one_line import one_line
from sparsenet.text.table import render, shape_text, to_json

if TYPE_CHECKING:
    from sparsenet.engine_options import Device

EPILOG = """\b
Examples:
  sparsenet run model.safetensors --input face.png --top 2
  sparsenet run model.safetensors --input x.npy --output y.npz
  sparsenet run model.safetensors --random --threads 2 --json
  sparsenet run model-here --input face.png --timings       (a bundle of `sparsenet compile`)"""


@click.command(epilog=EPILOG)
@model_argument
@click.option(
    "--input",
    "specs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="A .npy array (float32, batch first) or an image. Once for each input; NAME= where there are several.",
)
@click.option("--random", is_flag=True, help="Feed standard normal numbers instead.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Batch size of --random.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of --random.")
@threads_option
@device_option
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE.npz", help="Save every output under its name."
)
@click.option(
    "--top", type=click.IntRange(1), default=3, show_default=True, help="Largest values to show of each row."
)
@click.option("--timings", is_flag=True, help="Print on stderr what the start and the first inference took.")
@json_option
def run(
    model: Path,
    specs: tuple[str, ...],
    random: bool,
    batch: int,
    seed: int,
    threads: int | None,
    device: Device,
    output: Path | None,
    top: int,
    timings: bool,
    as_json: bool,
) -> None:
    """Run MODEL on an array, an image or random input and show its largest outputs.

    MODEL is a model file or the folder of a compiled bundle; of those, run only what you made or trust.
    An image is made RGB, resized to the input and normalised as the model says; where it does not, to -1 … 1.
    """
    if bool(specs) == random:
        raise click.UsageError("give either --input or --random")
    require_outputs(
        [output], [model, *(name for spec in specs for name in (spec, spec.partition("=")[2]) if name)]
    )
    import sparsenet

    engine = sparsenet.load(model, threads, device=device)
    infos, metadata = engine.inputs, engine.metadata
    feeds = random_inputs(infos, batch, seed) if random else read_inputs(specs, infos, metadata)
    outputs = engine.run(feeds)
    if timings:
        click.echo(seconds_text(engine.timings), err=True)
    if output is not None:
        _save(outputs, output)
    names = class_names(metadata)
    results = [_result(name, array, top, names) for name, array in outputs.items()]
    click.echo(to_json(results) if as_json else "\n\n".join(map(_text, results)))
    if output is not None and not as_json:
        click.echo(f"\nsaved to {output}")


def _result(name: str, array: FloatArray, top: int, names: list[str] | None) -> dict[str, Any]:
    """Shape and range of an output and, where it is one row of values for each input, the largest of them."""
    result: dict[str, Any] = {"output": name, "shape": list(array.shape)}
    if not array.size:  # a detector that has found nothing
        return result
    result |= {
        "min": float(array.min()),
        "mean": float(array.mean(dtype=np.float64)),
        "max": float(array.max()),
    }
    if array.ndim == 2:
        known = names if names and len(names) == array.shape[1] else None
        order = np.argsort(-array, axis=1, kind="stable")[:, :top]
        result["top"] = [
            [
                {"index": int(i), **({"class": known[i]} if known else {}), "value": float(row[i])}
                for i in best
            ]
            for row, best in zip(array, order, strict=True)
        ]
    return result


def _text(result: dict[str, Any]) -> str:
    if "mean" not in result:
        return f"{one_line(result['output'])}: {shape_text(result['shape'])}, nothing"
    values = {**result, "output": one_line(result["output"]), "size": shape_text(result["shape"])}
    lines = ["{output}: {size}, from {min:.4g} to {max:.4g}, mean {mean:.4g}".format(**values)]
    if "top" in result:
        columns = list(result["top"][0][0])
        rows = [
            [sample, rank + 1, *entry.values()]
            for sample, best in enumerate(result["top"])
            for rank, entry in enumerate(best)
        ]
        lines.append(render(("sample", "rank", *columns), rows))
    return "\n".join(lines)


def _save(outputs: dict[str, FloatArray], path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **outputs)
    write_output(path, buffer.getvalue())
