"""Which variants of a detector are made, and what they and their files are called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torch import nn

from training.detection.config import DetectionConfig
from training.models import FaceDetector

Scope = Literal["layer", "global"]
SCOPES: tuple[Scope, ...] = ("layer", "global")
#: How zeros are spread that are found at once: by what they cost or save, alike, or by magnitude over all layers.
Spread = Literal["chosen", "layer", "magnitude"]
SPREADS: tuple[Spread, ...] = ("chosen", "layer", "magnitude")
DENSE = "dense"
#: Modules of a detector's heads.
HEADS = ("box_heads", "class_heads", "landmark_heads")


@dataclass(frozen=True)
class OneShot:
    """Variants pruned at once by optimal brain surgeon, from images of the part that no variant is tested on.

    Attributes:
        speedups: by what the milliseconds of the dense detector are divided: zeros are spread for that, and, for
            comparison, alike and by magnitude, as many as take the same time with the same reconstruction.
        sparsities: fractions of zeros, spread by what they cost.
        block: (1, 4) to make those whose zeros are spread in such blocks of input channels as well.
        int8: whether each of these, and the dense detector, is made in 8-bit integers as well.
        samples: photographs that reconstruction and quantization look at.
    """

    speedups: tuple[float, ...] = ()
    sparsities: tuple[float, ...] = ()
    block: tuple[int, int] | None = None
    int8: bool = False
    samples: int = 48


@dataclass(frozen=True)
class SweepConfig:
    """Which variants to make.

    Attributes:
        sparsities: fractions of zeros in the prunable layers (see ``prunable_layers``); 0 is the detector as it is.
        scopes: "layer": the same share in every layer; "global": the smallest weights wherever they are.
        finetune: how to fine-tune every pruned variant as well; None for not at all.
        one_shot: what to prune at once; None for nothing.
        share: of the images that fine-tuning and one-shot pruning see; the others test all variants.
        files: model files that were made of the same detector elsewhere, tested and timed beside the others.
        compare: run pruned variants in PyTorch as well; the dense one is in any case.
        seed: of that split.
    """

    sparsities: tuple[float, ...] = (0.0, 0.5, 0.7, 0.8, 0.9)
    scopes: tuple[Scope, ...] = SCOPES
    finetune: DetectionConfig | None = None
    one_shot: OneShot | None = None
    files: tuple[Path, ...] = ()
    share: float = 0.5
    compare: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        scope: of masks by magnitude; None for the dense detector and for what is pruned at once.
        sparsity: fraction of zeros asked for; 0 where a time is.
        finetuned: whether it is fine-tuned.
        spread: of zeros found at once.
        speedup: that is asked for, or 0.
        block: as in ``OneShot``.
        int8: whether it computes in 8-bit integers.
        file: that it is, whatever it is.
    """

    scope: Scope | None = None
    sparsity: float = 0.0
    finetuned: bool = False
    spread: Spread | None = None
    speedup: float = 0.0
    block: tuple[int, int] | None = None
    int8: bool = False
    file: Path | None = None

    @property
    def at_once(self) -> bool:
        """Whether it is made without training, from the graph of another."""
        return (self.spread is not None and not self.finetuned) or self.int8 or self.file is not None

    @property
    def name(self) -> str:
        """Also of its files."""
        if self.file:
            return f"file-{self.file.stem}"
        if self.spread:
            name = f"at-once-{self.spread}-" + (
                f"{self.speedup:g}x" if self.speedup else f"{self.sparsity:g}"
            )
        else:
            name = f"{self.scope}-{self.sparsity:g}" if self.sparsity else DENSE
        parts = [
            name,
            self.block and "{}x{}".format(*self.block),
            self.finetuned and "finetuned",
            self.int8 and "int8",
        ]
        return "-".join(part for part in parts if part)


def variants_of(config: SweepConfig) -> Iterator[Variant]:
    """Dense first; then by sparsity, scope; then what is pruned at once, and files. Fine-tuned ones after those not."""
    yield Variant()
    for sparsity in sorted(set(config.sparsities) - {0.0}):
        for scope in config.scopes:
            yield Variant(scope, sparsity)
            if config.finetune is not None:
                yield Variant(scope, sparsity, finetuned=True)
    yield from _at_once(config.one_shot, config.finetune is not None) if config.one_shot else ()
    yield from (Variant(file=file) for file in config.files)


def _at_once(asked: OneShot, finetune: bool) -> Iterator[Variant]:
    tunings = dict.fromkeys((False, finetune))
    kinds = [
        Variant(int8=int8, block=block, finetuned=finetuned)
        for block in dict.fromkeys((None, asked.block))
        for finetuned in tunings
        for int8 in dict.fromkeys((False, asked.int8))
    ]
    if asked.int8:
        yield Variant(int8=True)
    for speedup in sorted(asked.speedups):
        yield from (replace(kind, spread="chosen", speedup=speedup) for kind in kinds)
        for spread in SPREADS[1:]:
            yield from (Variant(spread=spread, speedup=speedup, finetuned=finetuned) for finetuned in tunings)
    for sparsity in sorted(set(asked.sparsities) - {0.0}):
        yield from (replace(kind, spread="chosen", sparsity=sparsity) for kind in kinds)


def prunable_layers(model: FaceDetector) -> list[str]:
    """Names of the convolutions that lose weights: all but the first, the depthwise ones and the heads."""
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    return [name for name in names[1:] if not name.startswith(HEADS)]
