"""``python -m bench.memory``: bytes of file, weights and working memory, float32 beside int8."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench.measure.command import bench_command
from bench.measure.options import blocks_option, json_option, models_option, size_option, sparsities_option
from bench.subjects.networks import USUAL_MODELS
from sparsenet.io.files import require_outputs


@bench_command(
    "python -m bench.memory", "python -m bench.memory --models resnet50 --sparsity 0.8 --block 1x1"
)
@models_option(USUAL_MODELS)
@sparsities_option((0, 0.8, 0.9))
@blocks_option("1x4", "Weights that become zero together.")
@size_option
@json_option
def main(
    models: tuple[str, ...], sparsity: tuple[float, ...], block: str, size: int | None, json_file: Path | None
) -> None:
    """What networks take in MB (10⁶ bytes), in float32 and in int8: by the plan for this machine, on one thread.

    Working memory is what a run needs beside its weights, inputs and outputs. Nothing is timed; weights are random, and
    so are the images that show the ranges for int8.
    """
    require_outputs([json_file])

    from bench.measure.output import bar, markdown_table, write_json
    from bench.measure.versions import versions
    from bench.memory.sizes import Sizes, sizes

    asked = [(model, zeros) for model in models for zeros in sparsity]
    pairs: list[list[Sizes]] = []
    with TemporaryDirectory() as folder, bar(len(asked), "network") as progress:
        for model, zeros in asked:
            pairs.append(sizes(model, zeros, block if zeros else "1x1", size, Path(folder)))
            progress.update()
    header = ["", "zeros", "file", "weights, packed", "working memory"]
    rows = [
        (
            first.model,
            f"{first.sparsity:.0%} {first.block if first.sparsity else ''}".strip(),
            *(
                f"{getattr(first, field) / 1e6:.2f} → {getattr(second, field) / 1e6:.2f}"
                for field in ("file_bytes", "weight_bytes", "working_bytes")
            ),
        )
        for first, second in pairs
    ]
    click.echo(markdown_table(header, rows))
    click.echo("\nMB in float32 → in int8")
    record = {"sizes": [one for pair in pairs for one in pair], "versions": versions()}
    write_json(json_file, record)


if __name__ == "__main__":
    main()
