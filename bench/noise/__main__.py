"""``python -m bench.noise``: ``bench`` and ``convert`` again and again beside loops that compute."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option, model_option, seconds_option, thread_counts_option
from sparsenet.commands.several import Several
from sparsenet.errors import InputError
from sparsenet.io.files import require_outputs

COMMANDS = ("bench", "convert")


@bench_command(
    "python -m bench.noise --tries 20 --threads 1 2 --json noise.json",
    "python -m bench.noise --tries 5 --threads 1 --commands bench --model mobilenetv1",
)
@click.option("--tries", type=click.IntRange(1), default=20, show_default=True, help="Of each kind.")
@thread_counts_option((1, 2))
@click.option("--commands", cls=Several, type=click.Choice(COMMANDS), default=COMMANDS, show_default=True,
    metavar="NAME...", help="What is tried.")  # fmt: skip
@seconds_option(1.0, "Of timing, for bench.")
@model_option(None, "A network of the zoo, instead of five small convolutions.")
@json_option
def main(
    tries: int, threads: tuple[int, ...], commands: tuple[str, ...], seconds: float, model: str | None,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Time one network beside busy loops, sparse against dense; count tries that are right, cannot tell, are wrong.

    A network of five convolutions with 90 % zeros, or one of the zoo, is timed quiet, with a busy loop on one core that
    it uses, and with one on each of two cores. The median of the quiet tries is the truth. A try is right if its ratio
    is within 10 % of it, and honest if it says that it cannot tell.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise InputError("loops and commands are put on cores of their own, which this system cannot")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < max(2, *threads):
        raise InputError(f"{max(2, *threads)} cores are needed; this process may use {len(cores)}")
    require_outputs([json_file])

    from bench.measure.output import write_json
    from bench.measure.versions import versions
    from bench.noise.trial import Trial, small_network, summary, trials
    from bench.subjects.networks import build_graph

    def keep(done: list[Trial]) -> None:
        write_json(json_file, {"versions": versions(), "trials": done})

    graph = small_network() if model is None else build_graph(model)
    click.echo(summary(trials(graph, commands, threads, tries, seconds, cores, keep)))


if __name__ == "__main__":
    main()
