"""``sparsenet convert``: a trained network becomes a model file, checked and measured."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from converters.conversion.size_options import size_options
from converters.verify import TOLERANCE, VerificationError, VerifyReport
from sparsenet.commands.model_path import ModelName
from sparsenet.commands.options import FiniteRange, json_option, threads_option
from sparsenet.errors import UnsupportedOpError
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render, to_json

if TYPE_CHECKING:
    from converters.batch_axis import Batch

EPILOG = """\b
Examples:
  sparsenet convert student.safetensors -o student.engine.safetensors --values i8 --verify
  sparsenet convert model.onnx -o model.safetensors --masks masks.safetensors
  sparsenet convert detector.onnx -o model.safetensors --shape input=1x3x480x640
  sparsenet convert sounds.onnx -o model.safetensors --dim T=160
  sparsenet convert yolo-with-nms.onnx -o model.safetensors --batch fixed --dim batch=1"""


@click.command(epilog=EPILOG)
@click.argument("model", type=ModelName(), metavar="MODEL")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The model file to write."
)
@click.option(
    "--values",
    type=click.Choice(["f32", "f16", "i8"]),
    default="f32",
    show_default=True,
    help="How weights are stored: exact, half precision, or 8 bits with one scale per output channel.",
)
@click.option("--no-reduce", is_flag=True, help="Keep channels that structured pruning has emptied.")
@click.option(
    "--keep-order",
    is_flag=True,
    help="Leave channels inside a quantized network in its order, not in the one that has fewer quads of weights.",
)
@click.option("--masks", type=click.Path(path_type=Path), help="A mask file to apply first.")
@click.option("--verify", is_flag=True, help="Compare every layer with the framework MODEL comes from.")
@click.option(
    "--tolerance",
    type=FiniteRange(0, min_open=True),
    default=TOLERANCE,
    show_default=True,
    help="The largest relative error of float32 layers that passes --verify.",
)
@click.option(
    "--image-size",
    type=int,
    nargs=2,
    metavar="ROWS COLUMNS",
    help="Of images: for an ONNX model that leaves them open; they must stay open, this size is planned first. "
    "Networks of the zoo and trained ones take this size in place of their own.",
)
@size_options
@click.option(
    "--batch",
    type=click.Choice(["free", "fixed"]),
    default="free",
    show_default=True,
    help="Dimension 0 of MODEL: the batch, of any size; or one like any other, for models that work across it.",
)
@click.option("--no-speed", is_flag=True, help="Do not measure dense and sparse milliseconds.")
@click.option(
    "--int8",
    is_flag=True,
    help="Also time a float32 network in int8, as `sparsenet quantize` would make it, with ranges from random inputs.",
)
@threads_option
@json_option
def convert(
    model: Path,
    output: Path,
    values: str,
    no_reduce: bool,
    keep_order: bool,
    masks: Path | None,
    verify: bool,
    tolerance: float,
    image_size: tuple[int, int] | None,
    shapes: dict[str, tuple[int | None, ...]],
    dims: dict[str, int],
    batch: Batch,
    no_speed: bool,
    int8: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Convert MODEL, an .onnx file, a trained model or a network of the zoo, to a model file the engine runs.

    Prints bytes on disk against the source's weights as dense float32, weights and multiply-adds with and without
    zeros, and measured milliseconds of dense and sparse kernels, run in turn on one input. Of a quantized network, and
    with --int8 of any, it says which of float32 and int8, dense and sparse, is the fastest here.

    Sizes that an ONNX model leaves open must be given, by --shape, --dim or --image-size; those that nothing in the
    network is bound to stay open.
    """
    from converters.conversion.pipeline import convert as run_conversion
    from converters.conversion.sources import open_masks, source_files

    require_outputs([output], itertools.chain([masks], source_files(model)))
    try:
        report = run_conversion(
            model,
            output,
            values=values,
            reduce=not no_reduce,
            keep_order=keep_order,
            masks=open_masks(masks) if masks else None,
            verify_layers=verify,
            measure_speed=not no_speed,
            int8=int8,
            threads=threads,
            tolerance=tolerance,
            image_size=image_size,
            batch=batch,
            shapes=shapes,
            dims=dims,
        )
    except VerificationError as error:
        click.echo(to_json(dataclasses.asdict(error.report)) if as_json else error_table(error.report))
        raise
    except UnsupportedOpError as error:
        if error.reasons:  # all of them, where the message has room for a few
            click.echo(to_json(error.reasons) if as_json else "\n".join(error.reasons))
        raise
    if as_json:
        click.echo(to_json(report.to_dict()))
        return
    from converters.conversion.report_text import report_text

    if report.verification is not None:
        click.echo(error_table(report.verification) + "\n")
    click.echo(report_text(report))


def error_table(report: VerifyReport) -> str:
    """Error per layer and backend, in execution order; in steps where tensors are rounded."""
    in_steps = any(e.step is not None for e in report.layers)
    rows = []
    for e in report.layers:
        steps = ["" if e.step is None else f"{e.steps:g} of {e.allowed / e.step:.0f}"] if in_steps else []
        numbers = (e.max_abs, e.max_rel, e.allowed, "{}/{}".format(*e.channels), e.verdict)
        rows.append([e.layer, e.op, e.backend, *steps, *numbers])
    titles = ["layer", "op", "backend", *["steps"] * in_steps]
    return render([*titles, "max abs", "max rel", "allowed", "channels", "verdict"], rows)
