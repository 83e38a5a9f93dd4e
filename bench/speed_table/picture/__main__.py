"""``python -m bench.speed_table.picture``: pages of milliseconds as their pictures."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.speed_table.figures import figures
from bench.speed_table.picture import demo, draw
from sparsenet.errors import InputError
from sparsenet.io.files import require_outputs, write_output


@bench_command(
    "python -m bench.speed_table.picture docs/speed.md -o docs/zeros_and_bits.svg",
    "python -m bench.speed_table.picture docs/results.md -o docs/speed.svg",
)
@click.argument("page", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE.svg",
    help="The picture.")  # fmt: skip
def main(page: Path, output: Path) -> None:
    """Draw milliseconds that PAGE tells.

    PAGE is docs/speed.md, for this engine with zeros, and others, in float32 and in int8; or docs/results.md, for the
    demo's students in PyTorch and in this engine.
    """
    require_outputs([output], [page])
    try:
        text = page.read_text()
    except UnicodeDecodeError as error:
        raise InputError(f"{page}: is no text: {error.reason}") from None
    drawn = demo.draw(demo.figures(text)) if demo.TABLE in text else draw(figures(text))
    write_output(output, drawn.encode())
    click.echo(f"{output}: from {page}")


if __name__ == "__main__":
    main()
