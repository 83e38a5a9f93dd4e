"""``sparsenet prune``: set weights to zero, before training, at once, or on a schedule while the network is tuned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from torch import Tensor, nn

from sparsenet.commands.options import FiniteRange, json_option
from sparsenet.errors import InputError
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render, shape_text, to_json
from training.checkpoint import ModelInfo, load_model, save_model
from training.cli.options import (
    config_from,
    data_options,
    load_data,
    metrics_table,
    report_epoch,
    split_validation,
    training_options,
    use_threads,
)
from training.cli.quantizing import QUANTIZE, quantized_checkpoint, train_quantized
from training.cli.scoring import (
    CRITERIA,
    ONLY_AT_ONCE,
    given_masks,
    masks_at_once,
    needs_images,
    scoring_options,
)
from training.data.images import LabeledImages
from training.data.sources import image_folders
from training.distill import Distillation
from training.evaluate import Metrics, evaluate
from training.loop.config import TrainConfig
from training.models import build_model, default_input_size
from training.models.registry import MODELS
from training.pruning import SCORERS, GradualPruner, Masks, PolynomialSchedule, prunable_weights
from training.pruning.blocks import block_text
from training.train import train

EPILOG = """\b
Examples:
  sparsenet prune student.safetensors -o pruned.safetensors --sparsity 0.8
  sparsenet prune student.safetensors -o pruned.safetensors --finetune 256:4 --teacher teacher.safetensors --data faces
  sparsenet prune student.safetensors -o half.safetensors --structured output --sparsity 0.5 --exclude head
  sparsenet prune student.safetensors -o quads.safetensors --block 1x4 --finetune 256:4 --data faces
  sparsenet prune student.safetensors -o int8.safetensors --block 1x4 --finetune 256:4 --quantize 256:2 \\
      --teacher teacher.safetensors --data faces
  sparsenet prune student.safetensors -o same.safetensors --apply-masks pruned.masks.safetensors
  sparsenet prune maskcnn -o snip.safetensors --method snip --sparsity 0.9 --data faces --finetune 124:20 --lr 3e-3
  sparsenet prune maskcnn -o flow.safetensors --method synflow --keep 50000 --whole head"""

ONLY_ON_SCHEDULE = ("initial", "ramp", "mask_every")
ONLY_TRAINING = ("teachers", "temperature", "alpha", "checkpoint", "validation", "lr")
UPDATES = 30  # how often masks tighten on the way to the final sparsity, where there are steps enough


@click.command(epilog=EPILOG)
@click.argument("weights", metavar="WEIGHTS|MODEL")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Weights file to write.")
@scoring_options
@click.option(
    "--masks", "masks_file", type=click.Path(path_type=Path), help="Write the masks to a file of their own."
)
@click.option(
    "--apply-masks", type=click.Path(path_type=Path), help="Take the masks of this file, find none."
)
@click.option(
    "--at-once", is_flag=True,
    help="Find the masks before fine-tuning and hold them, as the methods for untrained networks always do.",
)  # fmt: skip
@click.option(
    "--initial", type=FiniteRange(0, 1),
    help="Sparsity that fine-tuning starts from.  [default: 0.5, or --sparsity if lower]",
)  # fmt: skip
@click.option(
    "--ramp", type=FiniteRange(0, 1), default=0.6, show_default=True,
    help="Share of the fine-tuning steps after which --sparsity is reached.",
)  # fmt: skip
@click.option(
    "--mask-every", type=click.IntRange(1), metavar="STEPS",
    help="Optimizer steps from one tightening of the masks to the next.  [default: 10, or fewer for 30 of them]",
)  # fmt: skip
@click.option("--teacher", "teachers", type=click.Path(path_type=Path), multiple=True,
              help="Weights of a teacher to fine-tune with; several are averaged.")  # fmt: skip
@click.option("--temperature", type=FiniteRange(0, min_open=True), default=5.0, show_default=True)
@click.option(
    "--alpha", type=FiniteRange(0, 1), default=0.1, show_default=True, help="Weight of the hard labels."
)
@data_options
# Early stopping could bring back an epoch from before the final sparsity.
@training_options(stages=None, lr=1e-3, flag="--finetune", early_stopping=False)
@QUANTIZE
@json_option
@click.pass_context
def prune(
    ctx: click.Context,
    /,
    weights: str,
    output: Path,
    masks_file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Set the least important of WEIGHTS to zero and save the sparse network.

    With --finetune sparsity rises from --initial to --sparsity while the network trains (polynomial schedule), or, with
    --at-once and for methods made for untrained networks, the masks are found first and held. The name of a MODEL
    instead of a file stands for an untrained network. With --quantize the sparse network then learns to compute with
    8-bit integers. Images are needed for training and for methods that look at the
    loss; with --data the result is tested as well.
    """
    options["at_once"] = options["at_once"] or SCORERS[options["method"]].foresight
    _refuse_contradictions(ctx, options)
    require_outputs(
        [output, masks_file, options["checkpoint"], quantized_checkpoint(options["checkpoint"])],
        [weights, options["apply_masks"], *options["teachers"], *image_folders(options["data"])],
    )
    use_threads(options["threads"])
    stages = _stages(options)
    fresh = weights in MODELS and not Path(weights).exists()
    given = given_masks(options)
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
        model, masks = _fine_tune(model, masks, data, validation, options)
    assert masks is not None
    masks.finalize(model)
    if options["quantize"]:
        assert data is not None
        model = train_quantized(model, data, validation, lambda: _loss(data, options), options)
        info = replace(info, quantized=True)
    if stages:
        info = replace(info, input_size=stages[-1][0], seed=options["seed"])
    save_model(output, model, replace(info, notes=info.notes | _notes(masks, options)))
    if masks_file is not None:
        masks.save(masks_file)
    if stages:
        test = _test_images(info, options)
    tested = evaluate(model, test, info.input_size) if test is not None else None
    _report(output, masks_file, model, masks, tested, as_json)


def _refuse_contradictions(ctx: click.Context, options: dict[str, Any]) -> None:
    def given(names: Iterable[str]) -> list[str]:
        explicit = [n for n in names if ctx.get_parameter_source(n) == click.core.ParameterSource.COMMANDLINE]
        return [param.opts[-1] for param in ctx.command.params if param.name in explicit]

    if len(given(("sparsity", "keep"))) == 2:
        raise InputError("--sparsity and --keep are two ways to say the same: give one of them")
    decided = [name for name in (*CRITERIA, *ONLY_AT_ONCE) if name not in ("seed", "shuffle")]
    decided = given((*decided, "sparsity", *ONLY_ON_SCHEDULE))
    if options["apply_masks"] and decided:
        raise InputError(f"--apply-masks decides what is pruned: leave out {', '.join(decided)}")
    lonely = [] if options["stages"] else given(ONLY_ON_SCHEDULE)
    lonely += [] if _stages(options) else given(ONLY_TRAINING)
    if lonely:
        raise InputError(f"{', '.join(lonely)} needs --finetune SIZE:EPOCHS")
    if options["at_once"] and given(ONLY_ON_SCHEDULE):
        raise InputError(
            f"{', '.join(given(ONLY_ON_SCHEDULE))}: these masks are found at once, on no schedule"
        )
    static = given(ONLY_AT_ONCE)
    if options["stages"] and not options["at_once"] and not options["apply_masks"] and static:
        raise InputError(
            f"{', '.join(static)}: a schedule cannot follow this; add --at-once to find the masks first"
        )


def _stages(options: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    """Of all training that is asked for."""
    return (*(options["stages"] or ()), *(options["quantize"] or ()))


def _training_images(size: int, options: dict[str, Any]) -> LabeledImages:
    return load_data(options, max([size, *(side for side, _ in _stages(options))]), "train")


def _fine_tune(
    model: nn.Module,
    masks: Masks | None,
    data: LabeledImages,
    validation: LabeledImages | None,
    options: dict[str, Any],
) -> tuple[nn.Module, Masks]:
    """Under ``masks``, or on a schedule if there are none yet."""
    config = config_from(options)
    hook: GradualPruner | Masks
    if masks is not None:
        masks.apply(model)
        hook = masks
    else:
        criteria = {name: options[name] for name in CRITERIA}
        criteria["scope"] = criteria["scope"] or SCORERS[options["method"]].scope
        hook = GradualPruner(model, _schedule(config, len(data), options), **criteria)
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


def _schedule(config: TrainConfig, images: int, options: dict[str, Any]) -> PolynomialSchedule:
    final: float = options["sparsity"]
    steps = max(1, images // config.batch_size) * len(config.epochs)
    end = max(1, round(options["ramp"] * steps))
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
                   "layers": [dict(zip(columns, row, strict=True)) for row in rows],
                   "test": tested.to_json() if tested else None}  # fmt: skip
        click.echo(to_json(summary))
        return
    total, nnz = sum(row[2] for row in rows), sum(row[3] for row in rows)
    click.echo(render(columns, [*rows, ("all", "", total, nnz, nnz / total)]))
    click.echo(f"\nsparsity {masks.sparsity:.4f} over the {len(masks.weights)} pruned layers; wrote {output}")
    if masks.affine_pruned:
        click.echo(f"with them {masks.affine_pruned:,} biases and BatchNorm values of pruned channels")
    if rescued:
        click.echo(f"kept from running empty: {', '.join(rescued)}")
    if emptied:
        click.echo(f"left empty, so that nothing passes through: {', '.join(emptied)}")
    if tested is not None:
        click.echo(f"\n{metrics_table(tested)}")


def _counts(weight: Tensor) -> tuple[int, int, float]:
    nnz = int(weight.count_nonzero())
    return weight.numel(), nnz, nnz / weight.numel()
