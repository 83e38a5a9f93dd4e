"""How to train: the numbers of a run, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sparsenet.checks import items, one_of, real_number, shown, whole_number
from sparsenet.errors import InputError

#: What PyTorch takes.
MAX_SEED = 2**63 - 1


def check_stages(stages: object) -> None:
    """Raise InputError unless these are (size, epochs) pairs of whole numbers, sizes from 16 and epochs from 1 on."""
    if not items(stages, "stages"):
        raise InputError("stages must be (size, epochs) pairs; there is none")
    for pair in items(stages, "stages"):
        if len(items(pair, "a stage")) != 2:
            raise InputError(f"a stage must be a pair of size and epochs, got {len(pair)} numbers")
        whole_number(pair[0], "a stage's size", least=16)
        whole_number(pair[1], "a stage's epochs")


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        stages: (input size, epochs) one after another: small images first learn fast, the last size finishes.
        batch_size: images per optimizer step, over all processes.
        lr: peak learning rate of AdamW; linear warm-up, then cosine to a hundredth.
        weight_decay: on weights, not on biases and normalisation.
        warmup_steps: steps to the peak.
        label_smoothing: of the plain cross-entropy; a loss given by the caller is left alone.
        balance: 0 draws images as they come, 1 every class equally often; powers of 1/count between.
        ema: decay of the running average of the weights, which is what training returns.
        clip_norm: bound on the gradient's norm.
        precision: "fp32", "bf16", or "auto": bf16 on a GPU, fp32 on a CPU.
        patience: epochs without a better validation macro F1 before stopping; None trains to the end.
        seed: of everything random.
        augment: options of ``Augment`` that differ from its defaults.
    """

    stages: tuple[tuple[int, int], ...] = ((128, 24), (256, 6))
    batch_size: int = 32
    lr: float = 3e-3
    weight_decay: float = 0.02
    warmup_steps: int = 60
    label_smoothing: float = 0.05
    balance: float = 0.75
    ema: float = 0.99
    clip_norm: float = 5.0
    precision: str = "auto"
    patience: int | None = None
    seed: int = 0
    augment: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_stages(self.stages)
        whole_number(self.batch_size, "batch_size", least=2)
        for name in ("lr", "clip_norm"):
            real_number(getattr(self, name), name, above=True)
        real_number(self.weight_decay, "weight_decay")
        whole_number(self.warmup_steps, "warmup_steps", least=0)
        for name in ("label_smoothing", "balance", "ema"):
            real_number(getattr(self, name), name, 0, 1)
        one_of(self.precision, "precision", ("auto", "fp32", "bf16"))
        if self.patience is not None:
            whole_number(self.patience, "patience")
        whole_number(self.seed, "seed", MAX_SEED, -MAX_SEED)
        if not isinstance(self.augment, dict):
            raise InputError(f"augment must be a dict of options of Augment, got {shown(self.augment)}")

    @property
    def epochs(self) -> list[int]:
        """Input size of every epoch in order."""
        return [size for size, count in self.stages for _ in range(count)]
