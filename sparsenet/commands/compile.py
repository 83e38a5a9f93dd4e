"""``sparsenet compile``: everything a start would do, done once and kept."""

from __future__ import annotations

from pathlib import Path

import click

from sparsenet.commands.options import (
    dense_option,
    json_option,
    model_argument,
    seconds_text,
    threads_option,
    tune_option,
)
from sparsenet.errors import InputError
from sparsenet.io.files import is_folder
from sparsenet.text.table import to_json

EPILOG = """\b
Examples:
  sparsenet compile model.safetensors -o model-here --threads 1
  sparsenet run model-here --random
In Python: engine = sparsenet.load("model-here")"""


@click.command("compile", epilog=EPILOG)
@model_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder to write; a bundle that stands there is replaced, anything else is left alone.",
)
@threads_option
@dense_option
@tune_option
@json_option
def compile_(model: Path, output: Path, threads: int | None, dense: bool, tune: bool, as_json: bool) -> None:
    """Compile MODEL into a bundle: a folder that loads at once, without Numba, on CPUs like this one.

    It holds the plan, the packed weights and the machine code of the kernels, and runs on the number of threads it was
    compiled for. A bundle is a program: load only bundles that you made or trust. To pass a network on, use the model
    file, which is safe from anyone and runs on any CPU.
    """
    import sparsenet
    from sparsenet import bundle

    if (
        is_folder(output)
        and model.exists()
        and output.resolve() in (model.resolve(), *model.resolve().parents)
    ):
        raise InputError(f"{output}: holds '{model}', which is read; choose another folder")
    bundle.require_place(output)
    engine = sparsenet.load(model, threads=threads, sparse=not dense, tune=tune)
    bundle.save(engine.plan, output, sparse=engine.sparse, metadata=engine.metadata)
    size = sum(file.stat().st_size for file in output.iterdir())
    if as_json:
        kernels = [kernel.name for kernel in engine.plan.used_kernels]
        click.echo(
            to_json({"bundle": str(output), "threads": engine.threads, "bytes": size, "kernels": kernels})
        )
        return
    click.echo(
        f"{output}: {len(engine.plan.used_kernels)} kernels, {size / 1e6:.2f} MB, threads: {engine.threads}; "
        f"{seconds_text(engine.timings)}"
    )
