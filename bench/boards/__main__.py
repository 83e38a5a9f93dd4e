"""``python -m bench.boards``: RAM, flash and instructions of exported networks on emulated boards."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from bench.boards.board import BOARDS
from bench.measure.command import bench_command
from bench.measure.options import json_option
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render

#: Board → the exporter's target.
TARGETS = {
    "aarch64": "neon",
    "armv7": "neon",
    "cortex-m4": "cortex-m",
    "cortex-m7": "cortex-m",
    "cortex-m55": "mve",
}


@bench_command(
    "python -m bench.boards --size 96 --size 128",
    "python -m bench.boards --board aarch64 --level -O3 --json out.json",
)
@click.option(
    "--network", default="minixception-128-256", show_default=True, help="One of the networks of `bench`."
)
@click.option(
    "--size", "sizes", type=int, multiple=True, default=(96,), show_default=True, help="Pixels a side."
)
@click.option(
    "--sparsity", "zeros", type=click.FloatRange(0, 1), multiple=True, default=(0.8,), show_default=True
)
@click.option(
    "--board",
    "boards",
    type=click.Choice(list(BOARDS)),
    multiple=True,
    default=("cortex-m7",),
    show_default=True,
)
@click.option(
    "--level", "levels", multiple=True, default=("-O2",), show_default=True, help="Of the compiler."
)
@click.option(
    "--values", type=click.Choice(("f32", "i8")), multiple=True, default=("f32", "i8"), show_default=True
)
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
    network: str, sizes: Sequence[int], zeros: Sequence[float], boards: Sequence[str], levels: Sequence[str],
    values: Sequence[str], dense: bool,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    import sparsenet
    from bench.boards.emulate import build_plugin, compile_network, instructions
    from bench.subjects.networks import build_graph
    from bench.subjects.sparsity import sparsify

    missing = [BOARDS[board].missing for board in boards if BOARDS[board].missing]
    if missing:
        raise click.ClickException("; ".join(map(str, missing)))
    graphs = {size: build_graph(network, size) for size in sizes}
    for size, share, board, stored in itertools.product(sizes, zeros, boards, values):
        graph = sparsify(graphs[size], share) if share else graphs[size]
        target = TARGETS.get(board, "generic")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            exported = sparsenet.export_c(graph, folder, values=stored, sparse=not dense, target=target)
            plugin = build_plugin(folder)
            for level in levels:
                found = compile_network(BOARDS[board], folder, exported.name, level)
                yield {
                    "network": network,
                    "side": size,
                    "zeros": share,
                    "board": board,
                    "level": level,
                    "values": stored,
                    "M instructions": instructions(BOARDS[board], folder, exported.name, plugin) / 1e6,
                    "RAM kB": exported.report["ram"]["arena_bytes"] / 1024,
                    "constants kB": exported.report["flash"]["constant_bytes"] / 1024,
                    "code kB": (found.code + found.constants) / 1024,
                }


if __name__ == "__main__":
    main()
