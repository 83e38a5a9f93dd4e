"""What ``sparsenet prune`` does, once its options have been found to agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from torch import Tensor, nn

from sparsenet.errors import InputError
from sparsenet.text.table import render, shape_text, to_json
from training.checkpoint import ModelInfo, load_model, save_model
from training.cli.deadline_options import latency_text
from training.cli.finding import given_masks, masks_at_once
from training.cli.options import (
    config_from,
    first_process,
    load_data,
    metrics_table,
    report_epoch,
    split_validation,
    training_stages,
    use_threads,
)
from training.cli.quantizing import train_quantized
from training.cli.scoring import CRITERIA, needs_images
from training.data.images import LabeledImages
from training.distill import Distillation
from training.evaluate import Metrics, evaluate
from training.models import build_model, default_input_size
from training.models.registry import MODELS
from training.pruning import (
    SCORERS,
    DropSchedule,
    DynamicSparsity,
    GradualPruner,
    Masks,
    PolynomialSchedule,
    prunable_weights,
)
from training.pruning.block_shape import block_text
from training.pruning.drop_schedule import SPARSE_TRAINING
from training.train import train

UPDATES = 30  # how often masks tighten on the way to the final sparsity, where there are steps enough


def run(weights: str, output: Path, masks_file: Path | None, as_json: bool, options: dict[str, Any]) -> None:
    """Prune as the options say, save network and masks, and print what came of it."""
    use_threads(options["threads"])
    stages = training_stages(options)
    fresh = weights in MODELS and not Path(weights).exists()
    given = given_masks(options)
    dynamic = options["method"] if options["method"] in SPARSE_TRAINING else None
    if dynamic:
        # What it starts from, spread so that no small layer is all but empty.
        options |= {
            "at_once": True,
            "method": "random" if fresh else "l1",
            "scope": options["scope"] or "erk",
        }
    data: LabeledImages | None = None
    if fresh:
        size = stages[-1][0] if stages else default_input_size(weights)
        data = _training_images(size, options)
        model = build_model(weights, len(data.class_names), options["seed"])
        info = ModelInfo(
            weights, data.class_names, size, task=options["task"] or "4-class", seed=options["seed"]
        )
    else:
        model, info = load_model(weights)
        options["task"] = options["task"] or (info.task if info.task != "folder" else None)
        if stages or (given is None and needs_images(options)):
            data = _training_images(info.input_size, options)
            _same_classes("the network", info, data.class_names)
    validation: LabeledImages | None = None
    if stages:
        assert data is not None
        data, validation = split_validation(data, options["validation"], options["seed"])
    test = None if stages or not options["data"] else _test_images(info, options)
    masks = given
    if given is None and (options["at_once"] or not options["stages"]):
        masks = masks_at_once(model, info.input_size, data, trained=not fresh, options=options)
    if options["stages"]:
        assert data is not None
        model, masks = _fine_tune(model, masks, dynamic, data, validation, options)
    assert masks is not None
    masks.finalize(model)
    if options["quantize"]:
        assert data is not None
        model = train_quantized(model, data, validation, lambda: _loss(data, options), options)
        info = replace(info, quantized=True)
    if not first_process():
        return
    if stages:
        info = replace(info, input_size=stages[-1][0], seed=options["seed"])
    save_model(output, model, replace(info, notes=info.notes | _notes(masks, options)))
    if masks_file is not None:
        masks.save(masks_file)
    if stages:
        test = _test_images(info, options)
    tested = evaluate(model, test, info.input_size) if test is not None else None
    _report(output, masks_file, model, masks, tested, as_json)


def _training_images(size: int, options: dict[str, Any]) -> LabeledImages:
    return load_data(options, max([size, *(side for side, _ in training_stages(options))]), "train")


def _fine_tune(
    model: nn.Module,
    masks: Masks | None,
    dynamic: str | None,
    data: LabeledImages,
    validation: LabeledImages | None,
    options: dict[str, Any],
) -> tuple[nn.Module, Masks]:
    """Under ``masks``, which move if there is a ``dynamic`` method; on a schedule if there are none yet."""
    config = config_from(options)
    steps = max(1, len(data) // config.batch_size) * len(config.epochs)
    hook: GradualPruner | DynamicSparsity | Masks
    if masks is not None:
        masks.apply(model)
        hook = masks
        if dynamic is not None:
            until = 0.75 if options["ramp"] is None else options["ramp"]
            schedule = DropSchedule.over(steps, until, options["mask_every"], options["drop"])
            hook = DynamicSparsity(masks, schedule, dynamic, options["seed"])
    else:
        criteria = {name: options[name] for name in CRITERIA}
        criteria["scope"] = criteria["scope"] or SCORERS[options["method"]].scope
        hook = GradualPruner(model, _rising(steps, options), **criteria)
    result = train(
        model,
        data,
        config,
        loss=_loss(data, options),
        hooks=[hook],
        validation=validation,
        checkpoint=options["checkpoint"],
        progress=not options["quiet"],
        on_epoch=report_epoch(options["quiet"]),
    )
    final = hook if isinstance(hook, Masks) else hook.masks
    assert final is not None
    return result.model, final


def _loss(data: LabeledImages, options: dict[str, Any]) -> Distillation | None:
    """Distillation by the teachers of the options; None, for the labels alone, if there are none."""
    teachers = [load_model(path) for path in options["teachers"]]
    for path, (_, teacher) in zip(options["teachers"], teachers, strict=True):
        _same_classes(f"teacher {path}", teacher, data.class_names)
    pairs = [(network, teacher.input_size) for network, teacher in teachers]
    return Distillation(pairs, options["temperature"], options["alpha"]) if pairs else None


def _rising(steps: int, options: dict[str, Any]) -> PolynomialSchedule:
    """From --initial to --sparsity."""
    final: float = options["sparsity"]
    end = max(1, round((0.6 if options["ramp"] is None else options["ramp"]) * steps))
    initial = min(0.5, final) if options["initial"] is None else options["initial"]
    every = options["mask_every"] or max(1, min(10, end // UPDATES))
    return PolynomialSchedule(initial, final, 0, end, every=every)


def _test_images(info: ModelInfo, options: dict[str, Any]) -> LabeledImages:
    test = load_data(options, info.input_size, "test")
    _same_classes("the network", info, test.class_names)
    return test


def _same_classes(what: str, info: ModelInfo, class_names: tuple[str, ...]) -> None:
    if info.class_names != class_names:
        raise InputError(f"{what} tells apart {info.class_names}, the images {class_names}")


def _notes(masks: Masks, options: dict[str, Any]) -> dict[str, str]:
    found = ("method", "scope", "structured")
    notes = {"sparsity": f"{masks.sparsity:.6f}"}
    notes |= {name: str(masks.info[name]) for name in found if masks.info.get(name) is not None}
    if masks.info.get("latency"):
        notes["latency"] = latency_text(masks.info["latency"])
    if masks.info.get("block") is not None:
        notes["block"] = block_text(masks.info["block"])
    if masks.info.get("shuffled"):
        notes["shuffled"] = "within layers"
    if options["stages"]:
        notes["finetuned"] = ",".join(f"{size}:{epochs}" for size, epochs in options["stages"])
    if options["quantize"]:
        notes["quantized"] = ",".join(f"{size}:{epochs}" for size, epochs in options["quantize"])
    if options["teachers"]:
        notes["teacher"] = ", ".join(path.name for path in options["teachers"])
    return notes


def _report(
    output: Path,
    masks_file: Path | None,
    model: nn.Module,
    masks: Masks,
    tested: Metrics | None,
    as_json: bool,
) -> None:
    columns = ("name", "shape", "weights", "nnz", "density")
    rows = [
        (weight.layer, shape_text(weight.tensor.shape), *_counts(weight.tensor))
        for weight in prunable_weights(model).values()
    ]
    rescued, emptied = masks.info.get("rescued", []), masks.info.get("emptied", [])
    if as_json:
        summary = {"weights": str(output), "masks": str(masks_file) if masks_file else None,
                   "sparsity": masks.sparsity, "total": masks.total, "nnz": masks.nnz,
                   "affine_pruned": masks.affine_pruned, "rescued": rescued, "emptied": emptied,
                   "latency": masks.info.get("latency"),
                   "layers": [dict(zip(columns, row, strict=True)) for row in rows],
                   "test": tested.to_json() if tested else None}  # fmt: skip
        click.echo(to_json(summary))
        return
    total, nnz = sum(row[2] for row in rows), sum(row[3] for row in rows)
    click.echo(render(columns, [*rows, ("all", "", total, nnz, nnz / total)]))
    click.echo(f"\nsparsity {masks.sparsity:.4f} over the {len(masks.weights)} pruned layers; wrote {output}")
    if masks.affine_pruned:
        click.echo(f"with them {masks.affine_pruned:,} biases and BatchNorm values of pruned channels")
    if masks.info.get("latency"):
        click.echo(latency_text(masks.info["latency"]))
    if rescued:
        click.echo(f"kept from running empty: {', '.join(rescued)}")
    if emptied:
        click.echo(f"left empty, so that nothing passes through: {', '.join(emptied)}")
    if tested is not None:
        click.echo(f"\n{metrics_table(tested)}")


def _counts(weight: Tensor) -> tuple[int, int, float]:
    nnz = int(weight.count_nonzero())
    return weight.numel(), nnz, nnz / weight.numel()
