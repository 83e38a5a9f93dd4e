"""``sparsenet demo``: the whole way, from images to a measured sparse engine, in one command."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsenet.commands.options import THREADS, FiniteRange, json_option
from sparsenet.commands.several import Several, SeveralValues
from sparsenet.io.files import require_output_folder
from sparsenet.text.table import to_json
from training.cli.options import BLOCK, Stage
from training.demo.settings import (
    ALPHA,
    DRAWN_TEACHER,
    QUICK,
    TEACHER,
    THOROUGH,
    DemoSettings,
    Schedules,
    stages_text,
)
from training.models.registry import MODELS

if TYPE_CHECKING:
    from training.report.model import Report

EPILOG = """\b
Examples:
  sparsenet demo                                        # drawn faces, some minutes
  sparsenet demo --data maskedface_net --out real       # photographs: CMFD/ and IMFD/
  sparsenet demo --data maskedface_net --weights runs   # with networks trained before"""


def _stages_option(flag: str, name: str, what: str) -> Any:
    quick, thorough = (stages_text(getattr(schedules, name)) for schedules in (QUICK, THOROUGH))
    return click.option(
        flag, f"{name}_stages", cls=Several, type=Stage(), metavar="SIZE:EPOCHS...",
        help=f"Input sizes and epochs of {what}.  [default: {quick}; with --data {thorough}]",
    )  # fmt: skip


@click.command(cls=SeveralValues, epilog=EPILOG)
@click.option(
    "--data", type=click.Path(path_type=Path),
    help="MaskedFace-Net (CMFD/, IMFD/) or a folder with one sub-folder per class.  [default: drawn faces]",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), default="demo-out", show_default=True,
    help="Folder for weights, model files and the report; an interrupted run continues from it.",
)  # fmt: skip
@click.option(
    "--images",
    type=click.IntRange(8),
    default=DemoSettings.images,
    show_default=True,
    help="How many faces to draw.",
)
@click.option(
    "--on-error", type=click.Choice(["raise", "skip"]), default="raise", show_default=True,
    help="A broken image is an error, or is skipped and counted.",
)  # fmt: skip
@click.option(
    "--teacher", type=click.Choice(list(MODELS)),
    help=f"[default: {DRAWN_TEACHER}; with --data {TEACHER}]",
)  # fmt: skip
@click.option("--student", type=click.Choice(list(MODELS)), default=DemoSettings.student, show_default=True)
@_stages_option("--teacher-stages", "teacher", "the teacher")
@_stages_option("--stages", "student", "both students")
@_stages_option("--prune-stages", "prune", "the fine-tuning that prunes")
@click.option(
    "--sparsity", type=FiniteRange(0, 1, min_open=True, max_open=True), default=0.8, show_default=True,
    help="Fraction of zeros after pruning.",
)  # fmt: skip
@BLOCK
@click.option(
    "--values", type=click.Choice(["f32", "f16", "i8"]), default="i8", show_default=True,
    help="Storage of the weights in the files of the main table; all three are written and tested.",
)  # fmt: skip
@click.option(
    "--temperature",
    type=FiniteRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Of distillation.",
)
@click.option(
    "--alpha",
    type=FiniteRange(0, 1),
    default=ALPHA,
    show_default=True,
    help="Weight of the labels in distillation.",
)
@click.option(
    "--threads", type=THREADS, default=1, show_default=True,
    help="Threads of the engine and of PyTorch while they are timed; training takes what PyTorch does.",
)  # fmt: skip
@click.option(
    "--seconds", type=FiniteRange(0, min_open=True), default=DemoSettings.seconds, show_default=True,
    help="About how long each network is timed; each point of the curve over sparsity gets a quarter.",
)  # fmt: skip
@click.option(
    "--curve", cls=Several, type=FiniteRange(0, 0.99), default=DemoSettings.curve, show_default=True,
    metavar="S...", help="Fractions of zeros at which the distilled student is judged and timed.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", show_default=True,
    help="Of training. auto: bf16 where the hardware computes it.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--weights", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with trained weights, <stage>.safetensors, to use instead of training: teacher, scratch, "
    "scratch-pruned, distilled, distilled-pruned.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@json_option
def demo(
    data: Path | None,
    teacher: str | None,
    teacher_stages: Any,
    student_stages: Any,
    prune_stages: Any,
    precision: str,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Teacher, student, distillation, pruning, conversion, int8, engine: train it, run it, measure it, report it.

    Prints the result and its tables, beside the published tables 3 to 5 where they are of the same networks, and writes
    report.html and report.json.
    """
    from training.pipeline import run_demo
    from training.report.console import console_table

    require_output_folder(options["out"])
    defaults = QUICK if data is None else THOROUGH
    settings = DemoSettings(
        data=data,
        teacher=teacher or (DRAWN_TEACHER if data is None else TEACHER),
        schedules=Schedules(
            teacher_stages or defaults.teacher,
            student_stages or defaults.student,
            prune_stages or defaults.prune,
        ),
        precision=_precision() if precision == "auto" else precision,
        progress=not quiet,
        **options,
    )
    report = run_demo(settings, say=_silent if quiet else _say)
    click.echo(to_json(_without_pictures(report)) if as_json else console_table(report))
    if not as_json:
        click.echo(f"\nreport: {settings.out / 'report.html'}")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _silent(_: str) -> None:
    pass


def _precision() -> str:
    """bf16 on a GPU and on CPUs with matrix units: with vector units alone Xception is slower, 31 → 43 ms an image."""
    import torch

    # get_capabilities is newer than the oldest torch this runs with.
    capable: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16" if torch.cuda.is_available() or capable.get("amx_bf16") else "fp32"


def _without_pictures(report: Report) -> dict[str, Any]:
    shown = dataclasses.asdict(report)
    del shown["examples"], shown["mistakes"]
    return shown
