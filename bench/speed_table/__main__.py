"""``python -m bench.speed_table``: runs of ``python -m bench.against`` as one page of Markdown."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.speed_table.page import page
from bench.speed_table.runs import read


@bench_command(
    "python -m bench.against --threads 1 --json one.json",
    "python -m bench.speed_table one.json two.json",
)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def main(files: tuple[Path, ...]) -> None:
    """Print results of `python -m bench.against --json FILE` as the tables of docs/speed.md."""
    click.echo(page(read(files)))


if __name__ == "__main__":
    main()
