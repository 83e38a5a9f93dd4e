"""``sparsenet distill``: a student learns a teacher's softened outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sparsenet.commands.options import FiniteRange, json_option
from sparsenet.commands.several import SeveralValues
from sparsenet.errors import InputError
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
  sparsenet distill minixception-128-256 --teacher teacher.safetensors -o student.safetensors
  sparsenet distill minixception-128 --teacher a.safetensors --teacher b.safetensors -o s.safetensors"""


@click.command(cls=SeveralValues, epilog=EPILOG)
@click.argument("model", type=click.Choice(list(MODELS)))
@click.option(
    "--teacher", "teachers", type=click.Path(path_type=Path), multiple=True, required=True,
    help="Weights of a teacher; several are averaged.",
)  # fmt: skip
@click.option(
    "--start", type=click.Path(path_type=Path), help="Weights the student starts from.  [default: random]"
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Weights file to write.")
@click.option("--temperature", type=FiniteRange(0, min_open=True), default=5.0, show_default=True)
@click.option(
    "--alpha", type=FiniteRange(0, 1), default=0.1, show_default=True, help="Weight of the hard labels."
)
@data_options
@training_options(stages=("128:24", "256:6"), lr=3e-3)
@json_option
def distill(
    model: str,
    teachers: tuple[Path, ...],
    start: Path | None,
    output: Path,
    temperature: float,
    alpha: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Train MODEL on a teacher's softened outputs and the labels, test it, and save its weights."""
    from training.checkpoint import load_model, save_model
    from training.data.sources import image_folders
    from training.distill import Distillation
    from training.evaluate import evaluate
    from training.models import build_model
    from training.train import train as run_training

    use_threads(options["threads"])
    require_outputs([output, options["checkpoint"]], [start, *teachers, *image_folders(options["data"])])
    config = config_from(options)
    size = max(stage[0] for stage in config.stages)
    loaded = [load_model(path) for path in teachers]
    started = load_model(start)[0] if start else None
    data, validation = split_validation(
        load_data(options, size, "train"), options["validation"], options["seed"]
    )
    for path, (_, info) in zip(teachers, loaded, strict=True):
        if info.class_names != data.class_names:
            raise InputError(f"teacher {path} tells apart {info.class_names}, the images {data.class_names}")
    student = build_model(model, len(data.class_names), options["seed"]) if started is None else started
    result = run_training(
        student,
        data,
        config,
        loss=Distillation([(teacher, info.input_size) for teacher, info in loaded], temperature, alpha),
        validation=validation,
        checkpoint=options["checkpoint"],
        progress=not options["quiet"],
        on_epoch=report_epoch(options["quiet"]),
    )
    if not first_process():
        return
    notes = {
        "teacher": ", ".join(info.model for _, info in loaded),
        "temperature": str(temperature),
        "alpha": str(alpha),
    }
    save_model(output, result.model, model_info(model, data, options, **notes))
    metrics = evaluate(result.model, load_data(options, size, "test"), config.stages[-1][0])
    click.echo(to_json({"weights": str(output), **metrics.to_json()}) if as_json else metrics_table(metrics))
