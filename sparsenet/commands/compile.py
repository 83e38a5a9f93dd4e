"""``sparsenet compile``: everything a start would do, done once and kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsenet.commands.options import (
    dense_option,
    folder_option,
    json_option,
    model_argument,
    name_option,
    seconds_text,
    threads_option,
    tune_option,
)
from sparsenet.errors import InputError
from sparsenet.io.files import is_folder
from sparsenet.text.table import to_json

if TYPE_CHECKING:
    from sparsenet.c_library import Library

EPILOG = """\b
Examples:
  sparsenet compile model.safetensors -o model-here --threads 1
  sparsenet run model-here --random
  sparsenet compile model.safetensors -o face-pi --emit c --target aarch64-linux --name face
  sparsenet compile model.int8.safetensors -o face-pi5 --emit c --cpu cortex-a76 --name face
In Python: engine = sparsenet.load("model-here"); sparsenet.compile_c(graph, "face-pi", "aarch64-linux", name="face")"""


@click.command("compile", epilog=EPILOG)
@model_argument
@folder_option(
    "Folder to write; one of the same kind that stands there is replaced, anything else is left alone."
)
@click.option(
    "--emit",
    type=click.Choice(("bundle", "c")),
    default="bundle",
    show_default=True,
    help="A bundle for Python on CPUs like this one, or a C library for any 64-bit Linux machine.",
)
@click.option(
    "--target",
    metavar="MACHINE",
    help="Of a C library: aarch64-linux, x86-64-v2, x86-64-v3 or x86-64-v4.",
)
@click.option(
    "--cpu",
    metavar="NAME",
    help="Of a C library: the processor, for instructions beyond the target's: cortex-a76, neoverse-n1, znver4, …",
)
@name_option
@threads_option
@dense_option
@tune_option
@json_option
def compile_(
    model: Path,
    output: Path,
    emit: str,
    target: str | None,
    cpu: str | None,
    name: str | None,
    threads: int | None,
    dense: bool,
    tune: bool,
    as_json: bool,
) -> None:
    """Compile MODEL into a bundle: a folder that loads at once, without Numba, on CPUs like this one.

    It holds the plan, the packed weights and the machine code of the kernels, and runs on the number of threads it was
    compiled for. A bundle is a program: load only bundles that you made or trust. To pass a network on, use the model
    file, which is safe from anyone and runs on any CPU.

    With --emit c it becomes a C library with a header, for one thread, made here for another machine: neither Python
    nor a compiler is needed there, and no compiler here. NAME_test.c proves it on the board.
    """
    import sparsenet
    from sparsenet import bundle

    if (
        is_folder(output)
        and model.exists()
        and output.resolve() in (model.resolve(), *model.resolve().parents)
    ):
        raise InputError(f"{output}: holds '{model}', which is read; choose another folder")
    if emit == "c":
        if threads not in (None, 1) or tune:
            raise InputError(
                "a C library runs on one thread, and is not tuned here: leave --threads and --tune out"
            )
        _emit_c(model, output, target, cpu, name, sparse=not dense, as_json=as_json)
        return
    if (target, cpu, name) != (None, None, None):
        raise InputError("--target, --cpu and --name are for --emit c: a bundle is for CPUs like this one")
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


def _emit_c(
    model: Path,
    output: Path,
    target: str | None,
    cpu: str | None,
    name: str | None,
    *,
    sparse: bool,
    as_json: bool,
) -> None:
    from sparsenet import load_graph
    from sparsenet.c_library import compile_c

    library = compile_c(load_graph(model), output, target, cpu=cpu, name=name, sparse=sparse)
    if as_json:
        click.echo(to_json(_record(output, library)))
        return
    for file, size in library.files.items():
        click.echo(f"{output / file}: {size:,} bytes")
    click.echo(
        f"{library.name} for {library.machine.name}: {len(library.plan.used_kernels)} kernels, "
        f"{library.plan.weights.nbytes:,} bytes of weights, {library.arena_bytes:,} bytes of working memory"
    )
    if not library.shared:
        wanted = f"ld.lld or {library.machine.tools}-ld"
        click.echo(f"no shared library: there is no linker for it here ({wanted})")
    test, archive = output / f"{library.name}_test.c", output / f"lib{library.name}.a"
    click.echo(f"it proves itself there by {library.machine.tools}-gcc {test} {archive} -lm")


def _record(output: Path, library: Library) -> dict[str, object]:
    return {
        "library": str(output),
        "name": library.name,
        "target": library.machine.name,
        "files": library.files,
        "arena_bytes": library.arena_bytes,
        "weight_bytes": library.plan.weights.nbytes,
        "kernels": [kernel.name for kernel in library.plan.used_kernels],
    }
