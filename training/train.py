"""One plain training loop, the same on a CPU, a GPU, or several processes under ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from torch import nn

from sparsenet.errors import DataError, InputError
from training.allocator import keep_freed_memory
from training.checkpoint import load_checkpoint, save_checkpoint
from training.data.images import LabeledImages
from training.loop.config import TrainConfig
from training.loop.run import EpochRecord, Hook, Loss, Run, TrainResult


def train(
    model: nn.Module,
    data: LabeledImages,
    config: TrainConfig,
    *,
    loss: Loss | None = None,
    hooks: Sequence[Hook] = (),
    validation: LabeledImages | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    stop_after_steps: int | None = None,
    first_step: int = 0,
) -> TrainResult:
    """Train ``model`` (left as it is) and return the running average of its weights.

    Args:
        data: images at least as large as the largest stage wants them (smaller ones are enlarged).
        loss: ``f(logits, labels, images)``; cross-entropy if None. See ``distill.Distillation``.
        hooks: called after every step.
        validation: judged after every epoch; needed for ``config.patience``.
        checkpoint: file written after every epoch; if it exists, the run continues from it.
        stop_after_steps: end (with a checkpoint) after so many steps of this call, as a kill would.
        first_step: ``model`` has been trained for so many steps already: data order and learning rate go on from
            there, the optimizer starts anew.

    Raises:
        CheckpointError: ``checkpoint`` is damaged or of another run.
        DataError: fewer images than one batch needs.
        InputError: the model takes images of its ``only_input_size`` and a stage has others.
    """
    if len(data) < 2:
        raise DataError(f"cannot train on {len(data)} images")
    only = getattr(model, "only_input_size", None)
    if only is not None and any(size != only for size, _ in config.stages):
        stages = ", ".join(f"{size}:{epochs}" for size, epochs in config.stages)
        raise InputError(
            f"{type(model).__name__} takes images of {only}×{only} pixels alone, got the stages {stages}"
        )
    if config.patience is not None and validation is None:
        raise InputError("early stopping needs validation images")
    keep_freed_memory()
    run = Run(model, data, config, loss, list(hooks), progress, first_step)
    if checkpoint is not None and os.path.exists(checkpoint):  # noqa: PTH110 - any path-like
        run.restore(load_checkpoint(checkpoint))
    while run.epoch < len(config.epochs) and not run.out_of_patience():
        steps_left = None if stop_after_steps is None else stop_after_steps - run.steps_here
        finished = run.train_epoch(steps_left)
        if finished:
            record = run.finish_epoch(validation)
            if on_epoch is not None:
                on_epoch(record)
        if checkpoint is not None and run.accelerator.is_main_process:
            save_checkpoint(checkpoint, run.state())
        if not finished:
            break
    return run.result()
