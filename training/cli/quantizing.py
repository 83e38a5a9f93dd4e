"""The step of commands that go on training in 8 bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from training.cli.finding import drawn_batches
from training.cli.options import config_from, quantized_checkpoint, report_epoch
from training.data.images import LabeledImages
from training.distill import Distillation
from training.quantization import calibrate, quantized, zeros_held
from training.train import train

#: Batches that find the first ranges of activations.
CALIBRATION = 16
#: Share of the learning rate: what is trained already has only to settle on its grid.
SLOWER = 0.1


def train_quantized(
    model: nn.Module,
    data: LabeledImages,
    validation: LabeledImages | None,
    loss: Callable[[], Distillation | None],
    options: dict[str, Any],
) -> nn.Module:
    """A copy of ``model`` trained to compute with 8-bit integers by the stages of --quantize; zeros stay zeros."""
    config = config_from(options | {"stages": options["quantize"], "lr": options["lr"] * SLOWER})
    network = quantized(model).requires_grad_(True)
    batches = drawn_batches(data, CALIBRATION * config.batch_size, config.stages[0][0], options)
    calibrate(network, (x for x, _ in batches))
    result = train(
        network,
        data,
        config,
        loss=loss(),
        hooks=[zeros_held(network)],
        validation=validation,
        checkpoint=quantized_checkpoint(options["checkpoint"]),
        progress=not options["quiet"],
        on_epoch=report_epoch(options["quiet"]),
    )
    return result.model
