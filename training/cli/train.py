"""``sparsenet train``: a model of the zoo, from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sparsenet.commands.options import json_option
from sparsenet.commands.several import SeveralValues
from sparsenet.io.files import require_outputs
from sparsenet.text.table import to_json
from training.cli.options import (
    config_from,
    data_options,
    first_process,
    load_data,
    metrics_table,
    model_info,
    report_epoch,
    split_validation,
    training_options,
    use_threads,
)
from training.models.registry import MODELS

EPILOG = """\b
Examples:
  sparsenet train minixception-128-256 -o student.safetensors
  sparsenet train xception --data maskedface_net --stages 96:20 --lr 2e-3 --precision bf16 -o teacher.safetensors
  torchrun --nproc-per-node 2 -m sparsenet train mobilenetv1 --data faces -o m.safetensors"""


@click.command(cls=SeveralValues, epilog=EPILOG)
@click.argument("model", type=click.Choice(list(MODELS)))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Weights file to write.")
@data_options
@training_options(stages=("128:24", "256:6"), lr=3e-3)
@json_option
def train(model: str, output: Path, as_json: bool, **options: Any) -> None:
    """Train MODEL on images, test it, and save its weights."""
    from training.checkpoint import save_model
    from training.data.sources import image_folders
    from training.evaluate import evaluate
    from training.models import build_model
    from training.train import train as run_training

    use_threads(options["threads"])
    require_outputs([output, options["checkpoint"]], image_folders(options["data"]))
    config = config_from(options)
    size = max(stage[0] for stage in config.stages)
    data, validation = split_validation(
        load_data(options, size, "train"), options["validation"], options["seed"]
    )
    result = run_training(
        build_model(model, len(data.class_names), options["seed"]),
        data,
        config,
        validation=validation,
        checkpoint=options["checkpoint"],
        progress=not options["quiet"],
        on_epoch=report_epoch(options["quiet"]),
    )
    if not first_process():
        return
    save_model(output, result.model, model_info(model, data, options))
    metrics = evaluate(result.model, load_data(options, size, "test"), config.stages[-1][0])
    click.echo(to_json({"weights": str(output), **metrics.to_json()}) if as_json else metrics_table(metrics))
