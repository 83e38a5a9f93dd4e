"""``python -m bench.kernels``: GFLOP/s on nonzeros, or GB/s, and share of the peak, of every kernel family."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option
from sparsenet.commands.several import Several
from sparsenet.io.files import require_outputs, write_output
from sparsenet.targets.host import host


@bench_command(
    "taskset -c 0 python -m bench.kernels --json kernels.json --markdown kernels.md",
    "python -m bench.kernels --quick --family conv --lanes 8",
)
@click.option(
    "--lanes", cls=Several, type=click.Choice(["16", "8", "4"]), metavar="N...",
    help="Vector lengths in float32.  [default: 16 (AVX-512) and 8 (AVX2) if there are any]",
)  # fmt: skip
@click.option(
    "--family", cls=Several, metavar="NAME...", help="Only families whose names contain one of these."
)
@click.option("--quick", is_flag=True, help="Fewer layers, densities and rounds: half a minute.")
@click.option("--tune", is_flag=True, help="Race each family's tiles first, as engines with tune=True do.")
@json_option
@click.option(
    "--markdown", "markdown_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the tables per family.",
)  # fmt: skip
def main(
    lanes: tuple[str, ...], family: tuple[str, ...], quick: bool, tune: bool, json_file: Path | None,
    markdown_file: Path | None,
) -> None:  # fmt: skip
    """Time every kernel family alone, on layers of real networks, at every vector length; a few minutes."""
    from bench.kernels import tables, worker
    from bench.kernels.cases import NOT_TIMED, cases
    from bench.measure.output import bar, write_json
    from bench.measure.versions import versions

    lengths = (
        [int(word) for word in lanes] or [count for count in (16, 8) if count <= host().vector().lanes] or [4]
    )
    todo = cases(quick, family)
    require_outputs([json_file, markdown_file])
    rates = []
    with bar(len(todo) * len(lengths), "case") as progress:

        def began(name: str) -> None:
            progress.set_description(name[:70], refresh=False)
            progress.update()

        for count in lengths:
            request = worker.Request(count, quick, family, 7 if quick else 15, 1e-4, tune)
            rates += worker.run(request, began)
    click.echo(tables.text(rates))
    for reason in dict.fromkeys(() if family else NOT_TIMED.values()):
        names = [name for name, why in NOT_TIMED.items() if why == reason]
        click.echo(
            f"Not timed: {', '.join(names[:2])}{f' and {len(names) - 2} more' * (len(names) > 2)}; each {reason}."
        )
    write_json(json_file, {"versions": versions(), "tuned": tune, "note": tables.NOTE, "rates": rates})
    if markdown_file:
        write_output(markdown_file, tables.markdown(rates).encode())


if __name__ == "__main__":
    main()
