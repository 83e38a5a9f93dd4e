"""``python -m bench.boards``: RAM, flash and instructions of exported networks on emulated boards."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from bench.boards.board import BOARDS, Board
from bench.measure.command import bench_command
from bench.measure.options import SIDE, blocks_option, json_option, models_option, sparsities_option
from sparsenet import Graph
from sparsenet.commands.several import Several
from sparsenet.errors import InputError
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render

#: What numbers are: weights in float32, weights in bytes, and everything in bytes.
VALUES = ("f32", "i8", "int8")
LEVELS = ("-O0", "-O1", "-O2", "-O3", "-Os")


@bench_command(
    "python -m bench.boards --models minixception-128 minixception-128-256 --size 96 128 160 256",
    "python -m bench.boards --board aarch64 rv32 --level -O3 --json out.json",
)
@models_option(("minixception-128-256",))
@click.option(
    "--size", "sizes", cls=Several, type=SIDE, metavar="N...", default=(96,), show_default=True,
    help="Pixels a side.",
)  # fmt: skip
@sparsities_option((0.8,))
@blocks_option("1x4", "Blocks of the zeros of networks in int8; others have single zeros.")
@click.option(
    "--values", cls=Several, type=click.Choice(VALUES), metavar="V...", default=VALUES, show_default=True,
    help="Weights in float32, in bytes (i8), or weights and pixels in bytes (int8).",
)  # fmt: skip
@click.option(
    "--board", "boards", cls=Several, type=click.Choice(list(BOARDS)), metavar="NAME...", default=("cortex-m7",),
    show_default=True, help=f"Of: {', '.join(BOARDS)}.",
)  # fmt: skip
@click.option("--level", type=click.Choice(LEVELS), default="-O2", show_default=True, help="Of the compiler.")
@click.option("--dense", is_flag=True, help="Leave no zero out.")
@json_option
def main(json_file: Path | None, **asked: Any) -> None:
    """RAM, flash and instructions of one inference on emulated boards.

    QEMU counts instructions exactly; there are no cycles, caches or wait states. It needs the cross compilers and QEMU.
    """
    require_outputs([json_file])
    from bench.measure.output import write_json
    from bench.measure.versions import versions

    rows = list(_rows(**asked))
    click.echo(render(list(rows[0]), [list(row.values()) for row in rows]))
    if json_file is not None:
        write_json(json_file, {"versions": versions(), "rows": rows})


def _rows(
    models: Sequence[str], sizes: Sequence[int], sparsity: Sequence[float], block: str, values: Sequence[str],
    boards: Sequence[str], level: str, dense: bool,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    from bench.measure.output import bar
    from bench.subjects.networks import build_graph

    missing = [BOARDS[board].missing for board in boards if BOARDS[board].missing]
    if missing:
        raise InputError("; ".join(map(str, missing)))
    total = len(models) * len(sizes) * len(sparsity) * len(values) * len(boards)
    with bar(total, "program", leave=False) as progress:
        for model, size in itertools.product(models, sizes):
            whole = build_graph(model, size)
            for share, stored in itertools.product(sparsity, values):
                graph = _network(whole, share, block if stored == "int8" else "1x1", stored)
                for board in boards:
                    yield {
                        "network": model,
                        "side": size,
                        "zeros": share,
                        "values": stored,
                        "board": board,
                        **_measured(BOARDS[board], graph, stored, level, sparse=not dense),
                    }
                    progress.update(1)


def _network(whole: Graph, share: float, block: str, values: str) -> Graph:
    """The graph with its zeros, quantized if ``values`` is ``int8``."""
    from bench.subjects.sparsity import sparsify
    from converters import quantize
    from sparsenet.graph.feeds import random_inputs

    graph = sparsify(whole, share, block) if share else whole
    if values != "int8":
        return graph
    return quantize(graph, [random_inputs(graph.inputs, 1, seed) for seed in range(4)], threads=1)


def _measured(board: Board, graph: Graph, values: str, level: str, *, sparse: bool) -> dict[str, float]:
    """What one network takes on one board."""
    from bench.boards.emulate import build_plugin, compile_network, instructions
    from sparsenet import export_c

    with tempfile.TemporaryDirectory() as name:
        folder, stored = Path(name), "i8" if values == "i8" else "f32"
        exported = export_c(graph, folder, values=stored, sparse=sparse, target=board.target)
        found = compile_network(board, folder, exported.name, level)
        counted = instructions(board, folder, exported.name, build_plugin(folder))
    ram, flash = exported.report["ram"], exported.report["flash"]
    return {
        "M instructions": counted / 1e6,
        "RAM kB": (ram["arena_bytes"] + ram["context_bytes"]) / 1024,
        "constants kB": flash["constant_bytes"] / 1024,
        "code kB": (found.code + found.constants) / 1024,
    }


if __name__ == "__main__":
    main()
