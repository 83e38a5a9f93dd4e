"""``sparsenet evaluate``: how good trained weights are on a test split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsenet.commands.options import json_option
from sparsenet.text.table import render, to_json
from training.cli.options import data_options, load_data, metrics_table

if TYPE_CHECKING:
    from training.evaluate import Metrics

EPILOG = """\b
Examples:
  sparsenet evaluate student.safetensors --data maskedface_net
  sparsenet evaluate stage1.safetensors --second stage2.safetensors --data maskedface_net   # the two-stage cascade"""


@click.command(epilog=EPILOG)
@click.argument("weights", type=click.Path(path_type=Path))
@click.option("--second", type=click.Path(path_type=Path), help="Weights of the cascade's second stage.")
@data_options
@click.option(
    "--size", type=click.IntRange(16), help="Input size.  [default: what the weights were trained for]"
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the drawn images and of random splits."
)
@click.option("--quiet", is_flag=True, help="No progress bars.")
@json_option
def evaluate(weights: Path, second: Path | None, size: int | None, as_json: bool, **options: Any) -> None:
    """Accuracy, F1, recall and confusion matrix of WEIGHTS on the test images."""
    from training.checkpoint import load_model
    from training.evaluate import evaluate as run_evaluation

    model, info = load_model(weights)
    size = size or info.input_size
    if second is None:
        options["task"] = info.task if info.task != "folder" else options["task"]
        result = run_evaluation(model, load_data(options, size, "test"), size)
    else:
        result = _cascade(model, second, size, options)
    if as_json:
        click.echo(to_json(result.to_json()))
        return
    click.echo(metrics_table(result))
    click.echo("\nrows: true class, columns: predicted\n")
    click.echo(
        render(
            ["", *result.class_names],
            [(n, *row) for n, row in zip(result.class_names, result.confusion, strict=True)],
        )
    )


def _cascade(first: Any, second: Path, size: int, options: dict[str, Any]) -> Metrics:
    from training.checkpoint import load_model
    from training.evaluate import cascade, metrics, predict

    second_model, second_info = load_model(second)
    data = load_data({**options, "task": "4-class"}, max(size, second_info.input_size), "test")
    stage1 = predict(first, data, size).argmax(1)
    stage2 = predict(second_model, data, second_info.input_size).argmax(1)
    return metrics(data.labels, cascade(stage1, stage2), data.class_names)
