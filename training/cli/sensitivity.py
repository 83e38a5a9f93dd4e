"""``sparsenet sensitivity``: what pruning would do to each layer alone, as tables, JSON and a picture."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converters.conversion.size_options import size_options
from sparsenet.commands.explain import PLOT_SUFFIXES
from sparsenet.commands.model_path import ModelName
from sparsenet.commands.options import FiniteRange, json_option, threads_option
from sparsenet.commands.several import Several, SeveralValues
from sparsenet.errors import InputError, MissingExtraError
from sparsenet.io.files import require_outputs, write_output
from sparsenet.text.quantities import time_text
from sparsenet.text.table import render, to_json
from training.cli.calibrated import layer_bar
from training.cli.options import BLOCK

if TYPE_CHECKING:
    from converters.pruning.sensitivity import Point, Sensitivity

EPILOG = """\b
Examples:
  sparsenet sensitivity model.onnx --calibrate faces
  sparsenet sensitivity student.safetensors --calibrate faces -o sensitivity.svg
  sparsenet sensitivity student.safetensors --calibrate faces --block 1x4 --sparsity 0.7 0.8 0.9 --json"""

#: How many layers are named as the most sensitive.
_NAMED = 3


@click.command(cls=SeveralValues, epilog=EPILOG)
@click.argument("model", type=ModelName(), metavar="MODEL")
@click.option("--calibrate", type=click.Path(path_type=Path), required=True, metavar="DIR|FILE|random",
              help="Inputs without labels: a folder of images, or arrays, as for quantize.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help=f"Draw a picture, too ({', '.join(PLOT_SUFFIXES)}); needs matplotlib.")  # fmt: skip
@click.option("--sparsity", "sparsities", cls=Several, type=FiniteRange(0, 1), metavar="S...",
              help="Fractions of zeros to try.  [default: 0.5 0.6 0.7 0.8 0.85 0.9 0.95]")  # fmt: skip
@BLOCK
@click.option("--exclude", metavar="PATTERN", multiple=True, help="Layers to leave out, e.g. head.")
@click.option("--samples", type=click.IntRange(1), default=256, show_default=True,
              help="Inputs to look at, drawn from all.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of that choice.")
@click.option("--image-size", type=int, nargs=2, metavar="ROWS COLUMNS", help="As for convert.")
@size_options
@threads_option
@json_option
def sensitivity(
    model: Path, calibrate: Path, output: Path | None, as_json: bool, image_size: Any, **options: Any
) -> None:
    """Show what pruning each layer of MODEL alone would do to its answers, and the milliseconds that it would save.

    MODEL is an .onnx, a checkpoint or a model file. Three tables, layers down and zeros across: by how much the outputs
    of the network change (mean square by their variance), what share of its own variance the layer loses, and what it
    takes, for one sample on one thread, measured here where all layers have these zeros. Layers are pruned as by
    `sparsenet prune --calibrate`, but without the refitting that comes last there.
    """
    from converters.conversion.sources import open_graph, source_files
    from converters.pruning.sensitivity import SPARSITIES
    from converters.pruning.sensitivity import sensitivity as measured
    from converters.quantization.samples import open_samples

    draw = None if output is None else _drawing(output)
    require_outputs([output], itertools.chain([calibrate], source_files(model)))
    graph = open_graph(model, image_size or None, shapes=options["shapes"], dims=options["dims"])
    data = open_samples(calibrate, graph, options["samples"], options["seed"])
    with layer_bar("measuring", as_json) as progress:
        found = measured(
            graph,
            data.batches(),
            options["sparsities"] or SPARSITIES,
            block=options["block"],
            skip=options["exclude"],
            state=None if output is None else output.with_name(f"{output.name}.state"),
            threads=options["threads"],
            progress=progress,
        )
    if output is not None and draw is not None:
        write_output(output, draw(found, output.suffix[1:].lower()))
    if as_json:
        click.echo(to_json(dataclasses.asdict(found) | {"random_inputs": data.random}))
        return
    click.echo(_text(found))
    if data.random:
        click.echo("inputs    random numbers: the errors mean nothing, the milliseconds do")
    if output is not None:
        click.echo(f"picture   {output}")


def _drawing(output: Path) -> Callable[[Sensitivity, str], bytes]:
    """What draws; InputError if it cannot draw such a file, MissingExtraError if nothing can."""
    if output.suffix.lower() not in PLOT_SUFFIXES:
        raise InputError(f"{output}: sensitivity is drawn as one of {', '.join(PLOT_SUFFIXES)}")
    try:
        from training.pruning.sensitivity_picture import draw
    except ModuleNotFoundError as error:
        raise MissingExtraError("drawing sensitivity", "plot") from error
    return draw


def _text(found: Sensitivity) -> str:
    parts = [
        "Outputs of the network changed by, %\n" + _table(found, lambda point: 100 * point.change),
        "Variance of the layer lost, %\n" + _table(found, lambda point: 100 * point.lost),
        "Milliseconds\n" + _table(found, lambda point: point.ms, dense=True),
        "\n".join(_facts(found)),
    ]
    return "\n\n".join(parts)


def _table(found: Sensitivity, value: Callable[[Point], float], dense: bool = False) -> str:
    titles = [f"{point.sparsity:.4g}" for point in found.layers[0].points]
    rows = [
        (layer.layer, layer.weights, *[layer.dense_ms] * dense, *map(value, layer.points))
        for layer in found.layers
    ]
    return render(["layer", "weights", *["as it is"] * dense, *titles], rows)


def _facts(found: Sensitivity) -> list[str]:
    most = sorted(found.layers, key=lambda layer: -layer.points[-1].change)[:_NAMED]
    names = ", ".join(layer.layer for layer in most)
    whole = found.rest_ms + sum(layer.dense_ms for layer in found.layers)
    rest = f"{time_text(found.rest_ms / 1e3)} of them in what cannot be pruned"
    return [
        f"measured  on {found.samples:,} samples, each layer alone",
        f"sensitive {names}: they change the outputs most, at {found.layers[0].points[-1].sparsity:.4g} zeros",
        f"time      {time_text(whole / 1e3)} as it is, {rest}",
    ]
