"""``python -m bench.kernels``: GFLOP/s on nonzeros, or GB/s, and share of the peak, of every kernel family."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click
from tqdm import tqdm

from bench.kernels import report, worker
from bench.kernels.measure import NOT_TIMED, cases
from bench.measure.command import BenchCommand
from bench.measure.versions import versions
from sparsenet.io.files import require_outputs, write_atomically
from sparsenet.targets.cpu.runtime.jit import max_lanes
from sparsenet.text.table import to_json


@click.command(
    cls=BenchCommand,
    epilog="Example: taskset -c 0 python -m bench.kernels --json kernels.json --markdown kernels.md",
)
@click.option(
    "--lanes", type=click.Choice(["16", "8", "4"]), multiple=True,
    help="Vector length in float32, may be repeated.  [default: 16 (AVX-512) and 8 (AVX2) if there are any]",
)  # fmt: skip
@click.option("--family", multiple=True, help="Only families whose name contains this; may be repeated.")
@click.option("--quick", is_flag=True, help="Fewer layers, densities and rounds: half a minute.")
@click.option("--tune", is_flag=True, help="Race each family's tiles first, as engines with tune=True do.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write every figure there.")
@click.option(
    "--markdown", "markdown_file", type=click.Path(path_type=Path), help="Write the tables per family."
)
def main(
    lanes: tuple[str, ...], family: tuple[str, ...], quick: bool, tune: bool, json_file: Path | None,
    markdown_file: Path | None,
) -> None:  # fmt: skip
    """Time every kernel family alone, on layers of real networks, at every vector length; a few minutes."""
    lengths = [int(word) for word in lanes] or [count for count in (16, 8) if count <= max_lanes()] or [4]
    require_outputs([json_file, markdown_file])
    total = len(cases(quick, family)) * len(lengths)
    rates = []
    with tqdm(total=total, unit="case", file=sys.stderr) as bar:

        def began(name: str) -> None:
            bar.set_description(name[:70], refresh=False)
            bar.update()

        for count in lengths:
            settings = worker.Settings(count, quick, family, 7 if quick else 15, 1e-4, tune)
            rates += worker.run(settings, began)
    click.echo(report.text(rates))
    for name, reason in NOT_TIMED.items():
        click.echo(f"{name} is not timed: it {reason}.")
    if json_file:
        record = {
            "versions": versions(),
            "tuned": tune,
            "note": report.NOTE,
            "rates": [asdict(r) for r in rates],
        }
        write_atomically(json_file, to_json(record).encode())
    if markdown_file:
        write_atomically(markdown_file, report.markdown(rates).encode())


if __name__ == "__main__":
    main()
