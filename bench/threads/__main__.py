"""``python -m bench.threads``: mean time of an inference on several threads against one, beside other load."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option, model_option, seconds_option, sparsity_option, threads_option
from sparsenet.errors import InputError
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render

#: What may run beside.
NAMES = (
    "nothing",
    "1 busy",
    "2 busy",
    "4 busy",
    "engine in a process",
    "engine in a thread",
    "spinning pool",
)


@bench_command(
    "python -m bench.threads --model minixception-128-256 --seconds 4",
    "python -m bench.threads --load nothing --load engine --json out.json",
)
@model_option("mobilenetv1")
@sparsity_option(0.9)
@threads_option(2, least=2)
@seconds_option(4.0, "For each mean.")
@click.option(
    "--load", "chosen", multiple=True, help=f"Only loads whose names begin so, of: {', '.join(NAMES)}."
)
@json_option
def main(
    model: str, sparsity: float, threads: int, seconds: float, chosen: tuple[str, ...], json_file: Path | None
) -> None:
    """Mean milliseconds with one thread and with several, beside other load.

    Means, not medians or minima: what a run loses to a thread that was stopped amid its work is what this is about.
    """
    names = [name for name in NAMES if name.startswith(chosen or "")]
    if not names:
        raise InputError(f"no load begins with {' or '.join(chosen)}; there are {', '.join(NAMES)}")
    require_outputs([json_file])

    from bench.measure.output import write_json
    from bench.measure.versions import versions
    from bench.subjects.networks import build_graph
    from bench.subjects.sparsity import sparsify
    from bench.threads.rows import beside_loads

    rows = beside_loads(sparsify(build_graph(model), sparsity), threads, names, seconds)
    columns = ["beside", "1 thread ms", f"{threads} threads ms", "ratio", "median ms"]
    click.echo(render(columns, [(r.load, r.one, r.more, r.ratio, r.median) for r in rows]))
    click.echo(f"\n{model} at {sparsity:.0%} zeros, means over {seconds} s; {os.cpu_count()} CPUs")
    write_json(json_file, {"model": model, "sparsity": sparsity, "versions": versions(), "rows": rows})


if __name__ == "__main__":
    main()
