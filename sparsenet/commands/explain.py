"""``sparsenet explain``: what the plan chose for each layer, and why; in which order it runs them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsenet.commands.options import (
    dense_option,
    device_option,
    json_option,
    model_argument,
    threads_option,
    tune_option,
)
from sparsenet.errors import InputError, MissingExtraError
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render, to_json

if TYPE_CHECKING:
    from sparsenet.engine_options import Device

EPILOG = """\b
Examples:
  sparsenet explain model.safetensors
  sparsenet explain model.safetensors --threads 1 --json
  sparsenet explain model.safetensors --schedule
  sparsenet explain model.safetensors --plot schedule.svg"""

PLOT_SUFFIXES = (".png", ".svg", ".pdf")


@click.command(epilog=EPILOG)
@model_argument
@threads_option
@device_option
@dense_option
@tune_option
@click.option(
    "--schedule", is_flag=True, help="Show what runs together instead: segments, rows kept, bytes, calls."
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Draw the schedule to a file ({', '.join(PLOT_SUFFIXES)}); needs matplotlib.",
)
@json_option
def explain(
    model: Path,
    threads: int | None,
    device: Device,
    dense: bool,
    tune: bool,
    schedule: bool,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Show the weight format and kernel each layer of MODEL gets on this machine, and the reason.

    MODEL is a model file or the folder of a compiled bundle. The schedule tells which layers stream: rows go from layer
    to layer while they are in the cache, a few at a time, instead of whole maps going through memory.
    """
    import sparsenet

    if plot is not None and plot.suffix.lower() not in PLOT_SUFFIXES:
        raise InputError(f"{plot}: a schedule is drawn as one of {', '.join(PLOT_SUFFIXES)}")
    if plot is not None:
        try:
            from sparsenet.commands.schedule_plot import draw
        except ModuleNotFoundError as error:
            raise MissingExtraError("drawing a schedule", "plot") from error
    require_outputs([plot], [model])
    engine = sparsenet.load(model, threads=threads, sparse=not dense, tune=tune, device=device)
    if (plot is not None or schedule) and engine.device == "cuda":
        raise InputError("a GPU runs layer by layer: there is a schedule with --device cpu alone")
    if plot is not None:
        draw(engine.plan.segments, plot, f"{model.name}, threads: {engine.threads}")
        if not schedule:
            click.echo(f"{plot}: {len(engine.plan.segments)} segments")
            return
    if schedule:
        from sparsenet.commands.schedule import schedule_text

        segments = engine.plan.segments
        click.echo(to_json([dataclasses.asdict(s) for s in segments]) if as_json else schedule_text(segments))
        return
    decisions = engine.explain()
    if as_json:
        click.echo(to_json([dataclasses.asdict(decision) for decision in decisions]))
        return
    rows = [(d.layer, d.op, d.format, d.kernel, d.reason) for d in decisions]
    click.echo(render(("layer", "op", "format", "kernel", "reason"), rows))
