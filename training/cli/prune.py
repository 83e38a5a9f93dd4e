"""``sparsenet prune``: set weights to zero, before training, at once, or on a schedule while the network is tuned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from sparsenet.commands.options import FiniteRange, json_option
from sparsenet.commands.several import SeveralValues
from sparsenet.errors import InputError
from sparsenet.io.files import require_outputs
from training.cli.calibrated import ONLY_CALIBRATED, SHARED, calibration_options, prune_calibrated
from training.cli.deadline_options import deadline_options
from training.cli.options import (
    QUANTIZE,
    data_options,
    quantized_checkpoint,
    training_options,
    training_stages,
)
from training.cli.scoring import CRITERIA, DEADLINE, ONLY_AT_ONCE, scoring_options
from training.pruning.drop_schedule import SPARSE_TRAINING
from training.pruning.scores import SCORERS

_NO_DEADLINE = "--scope latency needs either --speedup or --latency"

EPILOG = """\b
Examples:
  sparsenet prune student.safetensors -o pruned.safetensors --sparsity 0.8
  sparsenet prune student.safetensors -o pruned.safetensors --finetune 256:4 --teacher teacher.safetensors --data faces
  sparsenet prune model.onnx -o fast.safetensors --calibrate faces --speedup 2.5      (no labels, no training)
  sparsenet prune student.safetensors -o half.safetensors --structured output --sparsity 0.5 --exclude head
  sparsenet prune student.safetensors -o quads.safetensors --block 1x4 --finetune 256:4 --data faces
  sparsenet prune student.safetensors -o int8.safetensors --block 1x4 --finetune 256:4 --quantize 256:2 \\
      --teacher teacher.safetensors --data faces
  sparsenet prune student.safetensors -o same.safetensors --apply-masks pruned.masks.safetensors
  sparsenet prune maskcnn -o snip.safetensors --method snip --sparsity 0.9 --data faces --finetune 124:20 --lr 3e-3
  sparsenet prune student.safetensors -o fast.safetensors --method snip --scope latency --speedup 2.5 --data faces
  sparsenet prune maskcnn -o flow.safetensors --method synflow --keep 50000 --whole head
  sparsenet prune minixception-128 -o rigl.safetensors --method rigl --sparsity 0.95 --block 1x4 --data faces \\
      --finetune 128:20 --lr 3e-3 --teacher teacher.safetensors"""

ONLY_ON_SCHEDULE = ("initial", "ramp", "mask_every")
ONLY_SPARSE_TRAINING = ("drop",)
ONLY_TRAINING = ("teachers", "temperature", "alpha", "checkpoint", "validation", "lr")


@click.command(cls=SeveralValues, epilog=EPILOG)
@click.argument("weights", metavar="WEIGHTS|MODEL")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Weights file to write.")
@scoring_options
@deadline_options
@calibration_options
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
    "--ramp", type=FiniteRange(0, 1),
    help="Share of the fine-tuning steps after which --sparsity is reached, or rigl and set leave the masks as they "
    "are.  [default: 0.6; rigl and set 0.75]",
)  # fmt: skip
@click.option(
    "--mask-every", type=click.IntRange(1), metavar="STEPS",
    help="Optimizer steps from one change of the masks to the next.  [default: 10, rigl and set 100, or fewer for 30 "
    "of them]",
)  # fmt: skip
@click.option(
    "--drop", type=FiniteRange(0, 1), default=0.3, show_default=True,
    help="Share of the weights left that rigl and set trade for others at first; it falls along a cosine.",
)  # fmt: skip
@click.option("--teacher", "teachers", type=click.Path(path_type=Path), multiple=True,
              help="Weights of a teacher to fine-tune with; several are averaged.")  # fmt: skip
@click.option("--temperature", type=FiniteRange(0, min_open=True), default=5.0, show_default=True)
@click.option(
    "--alpha", type=FiniteRange(0, 1), default=0.1, show_default=True, help="Weight of the hard labels."
)
@data_options
# Early stopping could bring back an epoch from before the final sparsity.
@training_options(stages=(), lr=1e-3, flag="--finetune", early_stopping=False)
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
    --at-once and for methods made for untrained networks, the masks are found first and held; with rigl and set they
    start at --sparsity and move. The name of a MODEL instead of a file stands for an untrained network. With --quantize
    the sparse network then learns to compute with 8-bit integers. Images are needed for training and for methods that
    look at the loss; with --data the result is tested as well.

    With --calibrate neither labels nor training are needed, nor PyTorch for an .onnx or model file: weights are removed
    and the others changed so that each layer makes what it made.
    """
    if options["calibrate"] is not None:
        _refuse_others(ctx, options)
        prune_calibrated(Path(weights), output, as_json, options)
        return
    if lonely := _given(ctx, ONLY_CALIBRATED):
        raise InputError(f"{', '.join(lonely)} needs --calibrate DIR")
    from training.cli.pruning import run
    from training.data.sources import image_folders

    _refuse_contradictions(ctx, options)
    require_outputs(
        [output, masks_file, options["checkpoint"], quantized_checkpoint(options["checkpoint"])],
        [weights, options["apply_masks"], *options["teachers"], *image_folders(options["data"])],
    )
    run(weights, output, masks_file, as_json, options)


def _given(ctx: click.Context, names: Iterable[str]) -> list[str]:
    """Those of the options of these names that were typed."""
    typed = [n for n in names if ctx.get_parameter_source(n) == click.core.ParameterSource.COMMANDLINE]
    return [param.opts[-1] for param in ctx.command.params if param.name in typed]


def _refuse_others(ctx: click.Context, options: dict[str, Any]) -> None:
    """Raise InputError for options that mean nothing beside --calibrate, or say the same; settle the scope."""
    others = {param.name or "" for param in ctx.command.params} - {*ONLY_CALIBRATED, *SHARED}
    if _given(ctx, others):
        raise InputError(
            f"--calibrate prunes at once, without labels: leave out {', '.join(_given(ctx, others))}"
        )
    targets = _given(ctx, ("sparsity", "n_m", "latency", "speedup"))
    if len(targets) > 1:
        raise InputError(f"{', '.join(targets)}: give one of them")
    if options["scope"] == "latency":
        if not _given(ctx, DEADLINE):
            raise InputError(_NO_DEADLINE)
        options["scope"] = "global"  # which goes by milliseconds wherever they are asked for


def _refuse_contradictions(ctx: click.Context, options: dict[str, Any]) -> None:
    """Raise InputError for options that do not go together; find out which masks are found at once."""

    def given(names: Iterable[str]) -> list[str]:
        return _given(ctx, names)

    if len(given(("sparsity", "keep"))) == 2:
        raise InputError("--sparsity and --keep are two ways to say the same: give one of them")
    decided = [name for name in (*CRITERIA, *ONLY_AT_ONCE) if name not in ("seed", "shuffle")]
    decided = given((*decided, "sparsity", *ONLY_ON_SCHEDULE))
    if options["apply_masks"] and decided:
        raise InputError(f"--apply-masks decides what is pruned: leave out {', '.join(decided)}")
    lonely = [] if options["stages"] else given(ONLY_ON_SCHEDULE)
    lonely += [] if training_stages(options) else given(ONLY_TRAINING)
    if lonely:
        raise InputError(f"{', '.join(lonely)} needs --finetune SIZE:EPOCHS")
    _refuse_times(ctx, options)
    method = options["method"]
    if method in SPARSE_TRAINING:
        if not options["stages"]:
            raise InputError(
                f"--method {method} moves masks while the network trains: add --finetune SIZE:EPOCHS"
            )
        if contrary := given(("initial", "at_once", "structured")):
            raise InputError(
                f"--method {method} moves a constant number of weights: leave out {', '.join(contrary)}"
            )
        return
    if given(ONLY_SPARSE_TRAINING):
        raise InputError(f"--drop needs --method {' or '.join(SPARSE_TRAINING)}")
    options["at_once"] = options["at_once"] or SCORERS[method].foresight
    if options["at_once"] and given(ONLY_ON_SCHEDULE):
        raise InputError(
            f"{', '.join(given(ONLY_ON_SCHEDULE))}: these masks are found at once, on no schedule"
        )
    static = given(ONLY_AT_ONCE)
    if options["stages"] and not options["at_once"] and not options["apply_masks"] and static:
        raise InputError(
            f"{', '.join(static)}: a schedule cannot follow this; add --at-once to find the masks first"
        )


def _refuse_times(ctx: click.Context, options: dict[str, Any]) -> None:
    """Raise InputError for milliseconds without their scope, and the scope without milliseconds or with weights."""
    times = _given(ctx, DEADLINE)
    if options["scope"] != "latency":
        if times:
            raise InputError(f"{', '.join(times)} needs --scope latency, or --calibrate DIR")
        return
    if (options["latency"] is None) == (options["speedup"] is None):
        raise InputError(_NO_DEADLINE)
    if weights := _given(ctx, ("sparsity", "keep")):
        raise InputError(f"--scope latency is told by --speedup or --latency: leave out {', '.join(weights)}")
    if options["structured"]:
        raise InputError("--scope latency spreads zeros of weights: leave out --structured")
