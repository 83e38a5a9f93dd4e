"""The training loop of detectors: SGD as RetinaFace and the SNIP paper use it, resumable after every epoch.

Everything random comes from (seed, epoch, image), so that a run which was killed continues as if it had not been.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sparsenet.errors import CheckpointError, DataError, InputError
from training.checkpoint import ModelInfo, load_checkpoint, save_checkpoint
from training.detection.augment import Crop
from training.detection.boxes import TARGET_VALUES
from training.detection.config import DetectionConfig
from training.detection.loss import MultitaskLoss
from training.detection.widerface import AnnotatedImage
from training.loop.run import Hook

Loss = Callable[[Any, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class DetectionEpoch:
    """One epoch: its number from 1 on, mean loss, and the learning rate it used."""

    epoch: int
    loss: float
    lr: float


@dataclass(frozen=True)
class DetectionResult:
    """The trained model in evaluation mode, and how it went."""

    model: nn.Module
    history: list[DetectionEpoch]


class Crops(Dataset):
    """Item i is image i's crop of one epoch: pixels (3, size, size) and target rows (k, 15)."""

    def __init__(self, images: Sequence[AnnotatedImage], crop: Crop, seed: int, epoch: int) -> None:
        self.images, self.crop, self.seed, self.epoch = images, crop, seed, epoch

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        item = self.images[i]
        image, frame = item.read()
        rng = np.random.default_rng([self.seed, self.epoch, i])
        pixels, rows = self.crop(image, frame, item.boxes, item.landmarks, rng)
        return torch.from_numpy(pixels), torch.from_numpy(rows)


def collate(items: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """A batch: pixels (N, 3, size, size) and target rows (N, K, 15), padded with zeros to the most faces."""
    most = max(1, *(len(rows) for _, rows in items))
    targets = torch.zeros(len(items), most, TARGET_VALUES)
    for target, (_, rows) in zip(targets, items, strict=True):
        target[: len(rows)] = rows
    return torch.stack([pixels for pixels, _ in items]), targets


def batches(
    images: Sequence[AnnotatedImage], config: DetectionConfig, info: ModelInfo, epoch: int = 0
) -> DataLoader:
    """The batches (x, targets) of one epoch, in random order; also what ``find_masks`` takes.

    A last batch that is smaller than the others is left out, unless it is the only one.
    """
    crop = Crop(config.size, info.mean, info.std, config.scales, config.colour)
    order = np.random.default_rng([config.seed, epoch]).permutation(len(images)).tolist()
    return DataLoader(
        Crops(images, crop, config.seed, epoch),
        batch_size=config.batch_size,
        sampler=order,
        num_workers=config.workers,
        collate_fn=collate,
        drop_last=len(images) >= config.batch_size,
    )


def train_detector(
    model: nn.Module,
    images: Sequence[AnnotatedImage],
    config: DetectionConfig,
    info: ModelInfo,
    *,
    loss: Loss | None = None,
    hooks: Sequence[Hook] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
    on_epoch: Callable[[DetectionEpoch], None] | None = None,
) -> DetectionResult:
    """Train ``model`` (left as it is) on the images' faces.

    Args:
        info: says how pixels are normalised.
        loss: ``f(outputs, targets, pixels)``; None takes ``MultitaskLoss``.
        hooks: called after every step, e.g. ``Masks``.
        checkpoint: file written after every epoch; if it exists, the run continues from it.

    Raises:
        CheckpointError: ``checkpoint`` is damaged or of another run.
        DataError: there are no images, an image is bad, or the loss is no number any more.
    """
    if not images:
        raise DataError("there are no images to train on")
    run = _Run(model, images, config, info, loss, list(hooks), progress)
    if checkpoint is not None and os.path.exists(checkpoint):  # noqa: PTH110 - any path-like
        run.restore(load_checkpoint(checkpoint))
    while len(run.history) < config.epochs:
        record = run.epoch()
        if checkpoint is not None:
            save_checkpoint(checkpoint, run.state())
        if on_epoch is not None:
            on_epoch(record)
    return DetectionResult(run.model.cpu().eval().requires_grad_(True), run.history)


class _Run:
    """The state of one training run, whole in ``state()``."""

    def __init__(
        self,
        model: nn.Module,
        images: Sequence[AnnotatedImage],
        config: DetectionConfig,
        info: ModelInfo,
        loss: Loss | None,
        hooks: list[Hook],
        progress: bool,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.images, self.config, self.info = images, config, info
        self.hooks, self.progress = hooks, progress
        self.model = copy.deepcopy(model).to(self.device)
        self.loss = loss or _multitask(config)
        self.frozen = _freeze(self.model, config)
        self.optimizer = _optimizer(self.model, config)
        self.step = 0
        self.history: list[DetectionEpoch] = []
        for hook in hooks:
            hook.after_step(0, self.model)

    def epoch(self) -> DetectionEpoch:
        number = len(self.history)
        config = self.config
        decays = sum(number >= round(share * config.epochs) for share in config.decay_at)
        lr = config.lr * 0.1**decays
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.model.train()
        for norm in self.frozen:
            norm.eval()
        bar = tqdm(
            batches(self.images, config, self.info, number), leave=False, unit="step",
            desc=f"epoch {number + 1}/{config.epochs}", disable=None if self.progress else True,
        )  # fmt: skip
        losses = []
        for x, targets in bar:
            losses.append(self._step(x.to(self.device), targets.to(self.device)))
            bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
        self.history.append(DetectionEpoch(number + 1, float(np.mean(losses)), lr))
        return self.history[-1]

    def _step(self, x: Tensor, targets: Tensor) -> float:
        loss = self.loss(self.model(x), targets, x)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DataError(f"the loss became {value} at step {self.step}: try a lower learning rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.step += 1
        for hook in self.hooks:
            hook.after_step(self.step, self.model)
        return value

    def state(self) -> dict[str, Any]:
        return {
            "config": _identity(self.config),
            "images": len(self.images),
            "step": self.step,
            "history": [asdict(record) for record in self.history],
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "hooks": [hook.state_dict() for hook in self.hooks],
        }

    def restore(self, state: dict[str, Any]) -> None:
        for key, own in (("config", _identity(self.config)), ("images", len(self.images))):
            if state.get(key) != own:
                raise CheckpointError(
                    f"the checkpoint is of another run: its {key} is {state.get(key)}, now {own}"
                )
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            for hook, hook_state in zip(self.hooks, state["hooks"], strict=True):
                hook.load_state_dict(hook_state)
            self.step = int(state["step"])
            self.history = [DetectionEpoch(**record) for record in state["history"]]
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint does not fit this model: {str(error).splitlines()[-1]}"
            ) from None


def _identity(config: DetectionConfig) -> dict[str, Any]:
    """What makes a run what it is; how many processes read its images does not."""
    return {key: value for key, value in asdict(config).items() if key != "workers"}


def multitask_loss(config: DetectionConfig) -> MultitaskLoss:
    """The loss on annotated faces for crops as configured."""
    return MultitaskLoss(config.size, config.size, config.box_weight, config.landmark_weight)


def _multitask(config: DetectionConfig) -> Loss:
    multitask = multitask_loss(config)
    return lambda outputs, targets, _pixels: multitask(outputs, targets)


def _optimizer(model: nn.Module, config: DetectionConfig) -> torch.optim.Optimizer:
    learning = [p for p in model.parameters() if p.requires_grad]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(learning, config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(learning, config.lr, momentum=config.momentum, weight_decay=config.weight_decay)


def _freeze(model: nn.Module, config: DetectionConfig) -> list[nn.Module]:
    """Stop what the config freezes from learning; returns the BatchNorms whose statistics stay as they are."""
    for name, parameter in model.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in config.freeze):
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise InputError(f"nothing is left to train: {', '.join(config.freeze)} freezes every parameter")
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    return [n for n in norms if config.freeze_statistics or not n.weight.requires_grad]
