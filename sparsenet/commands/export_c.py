"""``sparsenet export-c``: a network as C99 for microcontrollers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from sparsenet.commands.options import (
    FiniteRange,
    dense_option,
    folder_option,
    json_option,
    model_argument,
    name_option,
)
from sparsenet.commands.several import Several, SeveralValues
from sparsenet.text.table import render, to_json

EPILOG = """\b
Examples:
  sparsenet export-c face.safetensors -o face --values i8 --target cortex-m --max-ram 600k
  sparsenet export-c face.safetensors -o face --name face --input u8 --layout hwc --project arduino
  make -C face test
In Python: sparsenet.export_c(graph, "face/", name="face", values="i8")"""

_UNITS = {"": 1, "k": 1024, "m": 1024**2}


class Size(click.ParamType[int]):
    """A number of bytes, with k (1024) or m (1024 k) behind it if that is shorter."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text."""
        match = re.fullmatch(r"([1-9][0-9]{0,11})([km]?)b?", str(value).strip().lower())
        if match is None:
            self.fail(f"'{value}' is no size such as 592960, 512k or 1m", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


@click.command("export-c", cls=SeveralValues, epilog=EPILOG)
@model_argument
@folder_option("Folder to write; what was exported to it before is replaced.")
@name_option
@click.option(
    "--values",
    type=click.Choice(("f32", "i8")),
    default="f32",
    show_default=True,
    help="How weights are stored: float32, or bytes with a scale for each output channel.",
)
@click.option("--max-ram", type=Size(), help="Refuse a network whose arena would be larger: 512k, 592960.")
@click.option(
    "--input",
    "input_",
    type=click.Choice(("f32", "u8")),
    default="f32",
    show_default=True,
    help="What images are made of; bytes become (byte - mean) / std.",
)
@click.option(
    "--mean",
    cls=Several,
    type=FiniteRange(0, 255),
    metavar="NUMBER...",
    help="Of bytes; one number, or one for each channel.  [default: what the model says, else 127.5]",
)
@click.option(
    "--std", cls=Several, type=FiniteRange(0, min_open=True), metavar="NUMBER...", help="Of bytes, likewise."
)
@click.option(
    "--layout",
    type=click.Choice(("chw", "hwc")),
    default="chw",
    show_default=True,
    help="Order of an image's numbers: hwc if its channels lie together, as cameras give them.",
)
@click.option(
    "--target",
    type=click.Choice(("generic", "neon", "cortex-m", "mve")),
    default="generic",
    show_default=True,
    help="The processor that kernels and tiles are chosen for; the code runs on any.",
)
@click.option(
    "--project",
    type=click.Choice(("arduino", "platformio", "zephyr")),
    help="Make the folder a library of this build system, too; there is always a Makefile and a CMakeLists.txt.",
)
@dense_option
@json_option
def export_c(
    model: Path,
    output: Path,
    dense: bool,
    as_json: bool,
    input_: str,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    **options: Any,
) -> None:
    """Write MODEL as C99 into a folder: no framework, no heap, no operating system.

    RAM is one arena whose exact size is a macro, and the table tells what each map takes of it; flash is the table of
    layers and the code. `make test` in the folder builds the network and a program that compares its results.
    """
    from sparsenet.io.model_file import load_graph
    from sparsenet.targets.c99.export import export_c as write

    exported = write(
        load_graph(model),
        output,
        sparse=not dense,
        input=input_,
        mean=mean or None,
        std=std or None,
        **options,
    )
    click.echo(to_json(exported.report) if as_json else _text(exported.report, output))


def _text(report: dict[str, Any], folder: Path) -> str:
    ram, flash = report["ram"], report["flash"]
    maps = [
        [m["tensor"], "×".join(map(str, m["shape"])), f"{m['rows_kept']} of {m['shape'][1]}", m["bytes"]]
        for m in ram["maps"]
    ]
    layers = [[x["layer"], x["kernel"], x["reason"], x["bytes"]] for x in flash["layers"]]
    return "\n".join([
        render(["RAM: map", "shape", "rows kept", "bytes"], maps),
        "",
        render(["flash: layer", "kernel", "why", "bytes"], layers),
        "",
        (f"RAM {ram['arena_bytes']:,} bytes (maps that are never needed together share them) and "
         f"{ram['context_bytes']:,} for the context; constants {flash['constant_bytes']:,} bytes, "
         f"tables of calls {flash['table_bytes']:,} bytes, and the code, which the compiler decides"),
        f"written to {folder}; `make -C {folder} test` builds and tests it",
    ])  # fmt: skip
