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

from sparsenet.checks import items, one_of, real_number, whole_number
from sparsenet.errors import CheckpointError, DataError, InputError
from training.checkpoint import ModelInfo, load_checkpoint, save_checkpoint
from training.detection.augment import CROP_SCALES, Crop
from training.detection.boxes import TARGET_VALUES
from training.detection.loss import MultitaskLoss
from training.detection.widerface import AnnotatedImage
from training.loop.run import Hook

Loss = Callable[[Any, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class DetectionConfig:
    """How to train.

    The defaults are the SNIP paper's: 100 epochs in batches of 2, learning rate divided by 10 after epochs 70 and 90.

    Attributes:
        epochs: passes over the images; each shows every image once, in a crop of its own.
        batch_size: images per step.
        optimizer: "sgd", or "adamw", which repairs a pruned detector in far fewer steps.
        lr: learning rate.
        decay_at: shares of the epochs after which the learning rate is divided by 10.
        momentum: of SGD.
        weight_decay: of either.
        size: side of the square crops in pixels.
        scales: sides of the crops in units of the image's shorter side.
        colour: whether to distort colours.
        box_weight, landmark_weight: λ1 and λ2 of the loss.
        freeze: shell patterns of parameters that do not learn, e.g. ``backbone.*``; their BatchNorms stay as they are.
        freeze_statistics: keep the running statistics of every BatchNorm: small batches would spoil trained ones.
        clip_norm: bound on the gradient's norm; None for none.
        workers: processes that read images; 0 reads them in this one.
        seed: of everything random.
    """

    epochs: int = 100
    batch_size: int = 2
    optimizer: str = "sgd"
    lr: float = 1e-3
    decay_at: tuple[float, ...] = (0.7, 0.9)
    momentum: float = 0.9
    weight_decay: float = 5e-4
    size: int = 640
    scales: tuple[float, ...] = CROP_SCALES
    colour: bool = True
    box_weight: float = 2.0
    landmark_weight: float = 1.0
    freeze: tuple[str, ...] = ()
    freeze_statistics: bool = False
    clip_norm: float | None = None
    workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            whole_number(getattr(self, name), name)
        whole_number(self.size, "size", least=32)
        whole_number(self.workers, "workers", least=0)
        one_of(self.optimizer, "optimizer", ("sgd", "adamw"))
        real_number(self.lr, "lr", above=True)
        for name in ("momentum", "weight_decay", "box_weight", "landmark_weight"):
            real_number(getattr(self, name), name)
        if self.clip_norm is not None:
            real_number(self.clip_norm, "clip_norm", above=True)
        if not items(self.scales, "scales"):
            raise InputError("scales of crops must be numbers in (0, 1]; there is none")
        for scale in self.scales:
            real_number(scale, "scales of crops", 0, 1, above=True)
        for share in items(self.decay_at, "decay_at"):
            real_number(share, "decay_at", 0, 1)


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


def _multitask(config: DetectionConfig) -> Loss:
    multitask = MultitaskLoss(config.size, config.size, config.box_weight, config.landmark_weight)
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
