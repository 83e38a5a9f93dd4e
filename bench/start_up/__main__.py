"""``python -m bench.start_up``: from nothing to the first answer, of a model file, a bundle and ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option, model_option, rounds_option, size_option, sparsity_option
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render


@bench_command("python -m bench.start_up --model mobilenetv1 --sparsity 0.8 --rounds 10 --json out.json")
@model_option("mobilenetv1")
@size_option
@sparsity_option(0.8)
@rounds_option(10, least=1)
@json_option
def main(model: str, size: int | None, sparsity: float, rounds: int, json_file: Path | None) -> None:
    """Start a model file, a compiled bundle and ONNX Runtime in processes of their own, in turn, on one thread."""
    require_outputs([json_file])

    from bench.measure.output import write_json
    from bench.start_up.programs import PHASES
    from bench.start_up.starts import cold_starts

    starts = cold_starts(model, sparsity, rounds, size)
    for title, pick in (("median", "seconds"), ("least", "least")):
        rows = [(s.what, *(getattr(s, pick)[p] * 1e3 for p in PHASES), s.numba) for s in starts]
        click.echo(f"ms, {title} of {rounds} cold processes")
        click.echo(f"{render(('', *PHASES, 'Numba'), rows)}\n")
    write_json(json_file, starts)


if __name__ == "__main__":
    main()
