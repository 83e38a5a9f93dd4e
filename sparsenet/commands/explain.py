"""``sparsenet explain``: what the plan chose for each layer, and why; in which order it runs the layers."""

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
from sparsenet.io.files import is_folder, require_outputs
from sparsenet.plan.decisions import Decisions
from sparsenet.targets.target import TARGETS
from sparsenet.text.table import to_json

if TYPE_CHECKING:
    from sparsenet.engine_options import Device
    from sparsenet.plan.plan import Plan
    from sparsenet.targets.target import Target

EPILOG = """\b
Examples:
  sparsenet explain model.safetensors
  sparsenet explain model.safetensors --threads 1 --json
  sparsenet explain model.safetensors --target neon
  sparsenet explain model.safetensors --schedule
  sparsenet explain model.safetensors --calls --threads 1
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
    "--calls",
    is_flag=True,
    help="Show the plan itself instead: every kernel call with its arguments, in order.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Draw the schedule to a file ({', '.join(PLOT_SUFFIXES)}); needs matplotlib.",
)
@click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    help="Plan for this kind of CPU instead of this machine's; nothing is compiled.",
)
@json_option
def explain(
    model: Path,
    threads: int | None,
    device: Device,
    dense: bool,
    tune: bool,
    schedule: bool,
    calls: bool,
    plot: Path | None,
    target: str | None,
    as_json: bool,
) -> None:
    """Show the weight format and kernel each layer of MODEL gets on this machine, and the reason.

    MODEL is a model file or the folder of a compiled bundle. Below stand the bytes of weights, as they are packed for
    the kernels, and of working memory, which is all that a run needs beside inputs and outputs. The schedule tells
    which layers stream: rows go from layer to layer while they are in the cache, a few at a time, instead of whole maps
    going through memory.
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
    if target is not None:
        if tune or device != "cpu":
            raise InputError(
                "--target plans for another CPU: without --tune, which times kernels here, or --device"
            )
        plan = _planned(model, threads, dense, TARGETS[target])
    else:
        engine = sparsenet.load(model, threads=threads, sparse=not dense, tune=tune, device=device)
        if (plot is not None or schedule or calls) and engine.device == "cuda":
            raise InputError("a GPU runs layer by layer: there is a schedule with --device cpu alone")
        plan = engine.plan
    if plot is not None:
        draw(plan.segments, plot, f"{model.name.removesuffix('.safetensors')}, threads: {plan.threads}")
        if not schedule:
            click.echo(f"{plot}: {len(plan.segments)} segments")
            return
    if calls:
        from sparsenet.plan.listing import as_records, as_text

        click.echo(to_json(as_records(plan)) if as_json else as_text(plan))
        return
    if schedule:
        from sparsenet.commands.schedule import schedule_text

        segments = plan.segments
        click.echo(to_json([dataclasses.asdict(s) for s in segments]) if as_json else schedule_text(segments))
        return
    if as_json:
        click.echo(to_json([dataclasses.asdict(decision) for decision in plan.decisions]))
        return
    click.echo(str(Decisions(plan.decisions)))
    if plan.tapes:
        weights, working = plan.weights.nbytes, plan.working_bytes
        click.echo(
            f"\n{weights:,} bytes of packed weights, {working:,} of working memory (threads: {plan.threads})"
        )


def _planned(model: Path, threads: int | None, dense: bool, target: Target) -> Plan:
    """A plan for ``target``, which this machine may be unable to run."""
    from sparsenet.io.model_file import load_graph
    from sparsenet.limits import enough_memory
    from sparsenet.plan.builder import Options
    from sparsenet.plan.make import make_plan
    from sparsenet.targets.cpu.runtime.threads import available_cpus

    if is_folder(model):
        raise InputError(f"{model}: a bundle was planned when it was compiled; --target takes a model file")
    graph = load_graph(model)
    options = Options("dense" if dense else "auto", threads or available_cpus(), target=target)
    with enough_memory("the plan"):
        return make_plan(graph, options)
