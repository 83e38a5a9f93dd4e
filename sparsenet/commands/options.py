"""Arguments and options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsenet.commands.model_path import ModelPath
from sparsenet.engine_options import MAX_THREADS
from sparsenet.text.quantities import time_text

if TYPE_CHECKING:
    from sparsenet.start_up import Timings


class FiniteRange(click.FloatRange):
    """A range of numbers, none of them NaN, which no comparison of click's keeps out, or infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse the text as click does."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


#: How many threads may be asked for.
THREADS = click.IntRange(1, MAX_THREADS)

model_argument = click.argument("model", type=ModelPath(), metavar="MODEL")
threads_option = click.option(
    "--threads",
    type=THREADS,
    help="Threads to use.  [default: the CPUs this process may use, or what a bundle was compiled for]",
)
name_option = click.option(
    "--name", help="Of C code: what files, functions and macros begin with.  [default: the folder's name]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
dense_option = click.option(
    "--dense", is_flag=True, help="Plan dense kernels only, the baseline of a speed-up."
)
tune_option = click.option(
    "--tune", is_flag=True, help="Time each layer's candidates on this machine and take the fastest."
)
device_option = click.option(
    "--device",
    type=click.Choice(("cpu", "cuda", "auto")),
    default="cpu",
    show_default=True,
    help="Where to run: the CPU, an NVIDIA GPU, or the GPU if there is one that can run the whole network.",
)


def folder_option(help_: str) -> Callable[[Any], Any]:
    """The option that names the folder that a command writes."""
    kind = click.Path(path_type=Path, file_okay=False)
    return click.option("-o", "--output", required=True, type=kind, metavar="DIR", help=help_)


def seconds_text(timings: Timings) -> str:
    """Where start-up time went, for people: ``imports 120 ms, compile 2.35 s, ...``."""
    values = dataclasses.asdict(timings).items()
    return ", ".join(f"{name} {time_text(seconds)}" for name, seconds in values if seconds)
