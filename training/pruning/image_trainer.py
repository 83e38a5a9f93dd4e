"""The networks of a lottery trained on labelled images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from training.checkpoint import ModelInfo, save_model
from training.data.images import LabeledImages
from training.evaluate import evaluate
from training.loop.config import TrainConfig
from training.loop.run import EpochRecord, Hook
from training.train import train


@dataclass(frozen=True)
class ImageTrainer:
    """Trains and tests classifiers, the same way each time.

    Attributes:
        data, test_data: images to train on and to judge by.
        config: how to train; every network sees the same images in the same order.
        info: what the weights files say of their network.
        progress: show a bar per epoch.
        on_epoch: told of every epoch.
    """

    data: LabeledImages
    test_data: LabeledImages
    config: TrainConfig
    info: ModelInfo
    progress: bool = True
    on_epoch: Callable[[EpochRecord], None] | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps of one training."""
        return self.steps_per_epoch * len(self.config.epochs)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch."""
        return max(1, len(self.data) // self.config.batch_size)

    def identity(self) -> dict[str, Any]:
        """Model, configuration and a hash of the images."""
        images = hashlib.sha256()
        for part in (self.data, self.test_data):
            images.update(part.labels.numpy().tobytes())
            images.update(part.images.numpy().tobytes())
        return {"model": self.info.model, "training": asdict(self.config), "images": images.hexdigest()[:16]}

    def train(self, model: nn.Module, hooks: Sequence[Hook], checkpoint: Path, first_step: int) -> nn.Module:
        """Train a copy of ``model``; see ``training.train.train``."""
        return train(
            model,
            self.data,
            self.config,
            hooks=hooks,
            checkpoint=checkpoint,
            progress=self.progress,
            on_epoch=self.on_epoch,
            first_step=first_step,
        ).model

    def test(self, model: nn.Module) -> dict[str, float]:
        """Accuracy and F1 on the test images, at the size of the last stage."""
        metrics = evaluate(model, self.test_data, self.config.stages[-1][0])
        return {
            "accuracy": metrics.accuracy,
            "macro_f1": metrics.macro_f1,
            "weighted_f1": metrics.weighted_f1,
        }

    def save(self, path: Path, model: nn.Module, notes: dict[str, str]) -> None:
        """A weights file that every command can open."""
        save_model(path, model, replace(self.info, notes=self.info.notes | notes))
