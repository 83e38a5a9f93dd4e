"""``sparsenet quantize``: a trained network becomes a model file that is computed in integers."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from converters.conversion.size_options import size_options
from converters.quantization.ranges import Method
from converters.quantization.weight_scales import WeightMethod
from sparsenet.commands.bar import bar
from sparsenet.commands.model_path import ModelName
from sparsenet.commands.options import json_option, threads_option
from sparsenet.io.files import require_outputs
from sparsenet.text.one_line import one_line
from sparsenet.text.table import render, to_json

if TYPE_CHECKING:
    from converters.batch_axis import Batch
    from converters.passes.permute_channels import QuadCount
    from converters.quantization.report import QuantizationReport

EPILOG = """\b
Examples:
  sparsenet quantize student.safetensors --calibrate faces/ -o student.int8.safetensors
  sparsenet quantize model.onnx --calibrate inputs.npz -o model.safetensors --method mse --keep-float last
  sparsenet quantize model.safetensors --calibrate random -o fast.safetensors       (to time it: it answers nonsense)"""


@click.command(epilog=EPILOG)
@click.argument("model", type=ModelName(), metavar="MODEL")
@click.option(
    "--calibrate",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR|FILE|random",
    help="A folder of images, a .npz file with an array for each input, or a .npy file for the only one: inputs like "
    "those to come. The word random feeds random numbers, for tests of speed alone.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The model file to write."
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Inputs to look at, drawn from all.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of that choice.")
@click.option(
    "--method",
    type=click.Choice(get_args(Method)),
    default="minmax",
    show_default=True,
    help="Range of a tensor: all that was seen; all but 0.01 % on each side; or what changes its numbers least.",
)
@click.option(
    "--weights",
    type=click.Choice(get_args(WeightMethod)),
    default="max",
    show_default=True,
    help="Scale of weights: by the largest, or what changes them least.",
)
@click.option("--per-tensor", is_flag=True, help="One scale for a whole weight, not for each output channel.")
@click.option(
    "--no-equalization", is_flag=True, help="Leave the ranges of channels as they are; so does --per-tensor."
)
@click.option("--no-bias-correction", is_flag=True, help="Leave biases as they are.")
@click.option(
    "--keep-float",
    "skip",
    metavar="LAYER|first|last",
    multiple=True,
    help="Layers with weights to leave in float32: a name, or a pattern such as 'head.*'. Repeatable.",
)
@click.option("--keep-order", is_flag=True, help="As for convert.")
@click.option("--image-size", type=int, nargs=2, metavar="ROWS COLUMNS", help="As for convert.")
@size_options
@click.option(
    "--batch", type=click.Choice(["free", "fixed"]), default="free", show_default=True, help="As for convert."
)
@threads_option
@json_option
def quantize(
    model: Path,
    calibrate: Path,
    output: Path,
    samples: int,
    seed: int,
    method: Method,
    weights: WeightMethod,
    per_tensor: bool,
    no_equalization: bool,
    no_bias_correction: bool,
    skip: tuple[str, ...],
    keep_order: bool,
    image_size: tuple[int, int] | None,
    shapes: dict[str, tuple[int | None, ...]],
    dims: dict[str, int],
    batch: Batch,
    threads: int | None,
    as_json: bool,
) -> None:
    """Quantize MODEL, a model file or what convert takes, to one whose layers are computed in 8-bit integers.

    Ranges of all tensors are observed while the float32 network sees some inputs; weights are rounded, and zeros stay
    zeros. What has no meaning in integers stays float32. Shows, for each layer, the signal-to-noise ratio of what it
    makes against float32, everything before it included; 6 dB are one bit.

    An image is made RGB, resized to the input and normalised as the model says; where it does not, to -1 … 1.
    """
    from converters.conversion.sources import open_graph, source_files
    from converters.quantization.quantize import METADATA
    from converters.quantization.samples import open_samples
    from converters.quantization.steps import in_integers
    from sparsenet.io.model_file import save

    require_outputs([output], itertools.chain([calibrate], source_files(model)))
    graph = open_graph(model, image_size, batch, shapes=shapes, dims=dims)
    data = open_samples(calibrate, graph, samples, seed)
    found = in_integers(
        graph,
        data,
        lambda label, count: bar(label, count, as_json),
        method=method,
        weights=weights,
        per_channel=not per_tensor,
        equalization=not no_equalization,
        bias_correction=not no_bias_correction,
        skip=skip,
        keep_order=keep_order,
        threads=threads,
    )
    quantized, report, quads = found.graph, found.report, found.quads
    save(quantized, output)
    facts = {
        "output": str(output),
        "file_bytes": output.stat().st_size,
        "quantization": quantized.metadata[METADATA],
        "quads": None if quads is None else dataclasses.asdict(quads),
    }
    click.echo(to_json(facts | report.to_dict()) if as_json else _text(facts, report, quads))


def _text(facts: dict[str, Any], report: QuantizationReport, quads: QuadCount | None) -> str:
    from converters.quantization.order import quads_text

    rows = [
        (layer.layer, layer.op, "int8" if layer.integer else "float32", layer.snr_db)
        for layer in report.layers
    ]
    share = f"{report.integer_macs:.1%} of the multiply-adds by weights"
    lines = [
        f"written   {facts['output']}: {facts['file_bytes']:,} bytes",
        f"ranges    {facts['quantization']}",
        f"int8      {report.integer_layers} of {len(report.layers)} layers, {share}",
    ]
    if quads is not None and quads.layers:
        lines.append(f"order     channels moved so that nonzero weights meet: {quads_text(quads)}")
    for name, snr in report.outputs.items():
        lines.append(f"output    {name}: {'not compared' if snr is None else f'{snr:.1f} dB'}")
    table = render(("layer", "op", "computed in", "dB"), rows)
    return "\n".join([table, "", *map(one_line, lines)])
