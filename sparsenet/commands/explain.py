"""``sparsenet explain``: what the plan chose for each layer, and why."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from sparsenet.commands.options import dense_option, json_option, model_argument, threads_option
from sparsenet.commands.table import render, to_json

EPILOG = """\b
Examples:
  sparsenet explain model.safetensors
  sparsenet explain model.safetensors --threads 1 --json"""


@click.command(epilog=EPILOG)
@model_argument
@threads_option
@dense_option
@json_option
def explain(model: Path, threads: int | None, dense: bool, as_json: bool) -> None:
    """Show the weight format and kernel each layer of MODEL gets on this machine, and the reason."""
    import sparsenet

    decisions = sparsenet.load(model, threads=threads, sparse=not dense).explain()
    if as_json:
        click.echo(to_json([dataclasses.asdict(decision) for decision in decisions]))
        return
    rows = [(d.layer, d.op, d.format, d.kernel, d.reason) for d in decisions]
    click.echo(render(("layer", "op", "format", "kernel", "reason"), rows))
