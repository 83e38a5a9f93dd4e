"""``python -m bench.history``: records of ``sparsenet bench`` as a picture over time."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.model.baseline import read_record
from sparsenet.errors import MissingExtraError
from sparsenet.io.files import require_outputs, write_output


@bench_command("python -m bench.history speed-*.json -o history.svg")
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE.svg",
    help="The picture.")  # fmt: skip
def main(records: tuple[Path, ...], output: Path) -> None:
    """Draw how fast a network was in each of the RECORDS, files that `sparsenet bench --export-path` has written.

    Speeds are in yardsticks, of the first engine, against the oldest record on the same kind of processor.
    """
    require_outputs([output], list(records))
    try:
        from bench.history.picture import draw
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise MissingExtraError("`python -m bench.history`", "plot") from None

    write_output(output, draw([read_record(path) for path in records]))
    click.echo(f"{output}: {len(records)} records")


if __name__ == "__main__":
    main()
