"""Arguments and options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path

import click

model_argument = click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
threads_option = click.option(
    "--threads", type=click.IntRange(1), help="Threads to use.  [default: the CPUs this process may use]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
dense_option = click.option(
    "--dense", is_flag=True, help="Plan dense kernels only, the baseline of a speed-up."
)
