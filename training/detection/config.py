"""How to train a detector."""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.checks import items, one_of, real_number, whole_number
from sparsenet.errors import InputError

#: Sides of the square crop in units of the image's shorter side.
CROP_SCALES = (0.3, 0.45, 0.6, 0.8, 1.0)


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
