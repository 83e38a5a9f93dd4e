"""How large everything is: what two cores finish within the hour, and what the papers did."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sparsenet.errors import DataError, InputError
from sparsenet.io import strict_json
from training.demo.settings import ALPHA, DRAWN_AUGMENT
from training.pruning.scores import Mode
from training.report.files import write_text

#: What a run can make, in the order of the page; values are what readers call it.
SECTIONS = {
    "maskcnn": "paper 1, tables 1 and 2: one-shot pruning",
    "students": "paper 1, tables 3 to 5: distillation and pruning",
    "snip": "paper 2: SNIP on RetinaFace",
    "comparison": "SNIP, random, magnitude, lottery tickets and sparse training side by side",
    "int8": "zeros and eight bits: what both together cost",
    "tradeoff": "macro F1 against milliseconds: all ways to a faster network",
}
RATIOS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85)

Scale = Literal["small", "paper"]
#: (input size, epochs) one after another, as in ``TrainConfig.stages``.
Stages = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class MaskCNNSettings:
    """Tables 1 and 2.

    Attributes:
        epochs: of training at 124 × 124 pixels.
        batch_size, lr: of training.
        train_images, test_images: how many images to use at most, drawn at random with the classes' own frequencies.
        ratios: share of weights, or of channels, that each layer loses.
        seeds: one training, and one sweep, for each.
    """

    epochs: int = 3
    batch_size: int = 16
    lr: float = 1e-3
    train_images: int = 320
    test_images: int = 128
    ratios: tuple[float, ...] = RATIOS
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class StudentSettings:
    """Tables 3 to 5.

    Attributes:
        teacher, students: names in the model zoo.
        teacher_stages, student_stages, prune_stages: input sizes and epochs.
        batch_size: images per step.
        teacher_lr, student_lr, prune_lr: peak learning rates.
        temperature, alpha: of distillation; alpha weighs the labels: half, for a teacher of few epochs is often wrong.
        sparsity: fraction of zeros after pruning.
        prune_first: whether the first convolution loses weights as well; depthwise ones never do.
        mask_every: optimizer steps from one tightening of the masks to the next; None spreads a number of them evenly.
        seed: of everything random.
    """

    teacher: str = "xception"
    students: tuple[str, ...] = ("minixception-128", "minixception-128-256")
    teacher_stages: Stages = ((48, 4),)
    student_stages: Stages = ((64, 6),)
    prune_stages: Stages = ((64, 2),)
    batch_size: int = 16
    teacher_lr: float = 1e-3
    student_lr: float = 3e-3
    prune_lr: float = 1e-3
    temperature: float = 5.0
    alpha: float = 0.5
    sparsity: float = 0.8
    prune_first: bool = False
    mask_every: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class SnipSettings:
    """SNIP's table 2 and figures 3 and 4.

    The counts and the survivors of each layer always come from RetinaFace with ResNet-50, whatever is trained.

    Attributes:
        data: folder of WIDERFACE, as ``snip.training_images`` and ``snip.test_images`` expect it; None draws scenes.
        backbone: weights of ResNet-50 that the backbone starts from and keeps; None leaves it random and trains it.
        model: detector to train.
        size: side of the square input in pixels.
        images: training images, at most.
        epochs, decay_at: epochs of training, and the shares of them after which the learning rate falls to a tenth.
        batch_size, optimizer, lr: of training; SNIP looks at one batch.
        mode: of the network while SNIP looks: "train", or "eval" as SNIP's authors have it.
        seed: of weights, batch and training.
    """

    data: str | None = None
    backbone: str | None = None
    model: str = "retinaface-mobilenet0.25"
    size: int = 128
    images: int = 240
    epochs: int = 24
    decay_at: tuple[float, ...] = (0.7, 0.9)
    batch_size: int = 8
    optimizer: str = "adamw"
    lr: float = 2e-3
    mode: Mode = "train"
    seed: int = 0


@dataclass(frozen=True)
class ComparisonSettings:
    """Ways to find a sparse network, at equal budgets of weights.

    Attributes:
        model, size: network of the zoo and side of its input.
        epochs: of every training; methods that prune a trained network train it as long before.
        fine_tune_epochs: after magnitude pruning.
        batch_size: images per step.
        lr, fine_tune_lr: peak learning rates of both.
        methods: see ``comparison.METHODS``.
        sparsities: budgets, as fractions of zeros of the whole network.
        levels: sparsities that lottery tickets pass on their way, budgets included.
        seeds: of weights, batches and training; at least three for a spread.
        snip_batch: images that SNIP and GraSP look at.
        mode: of the untrained network while they look: "train", or "eval" as SNIP's authors have it; None is each
            method's own.
        grasp_temperature: what GraSP divides the logits by; its authors' code has 200.
    """

    model: str = "minixception-128"
    size: int = 48
    epochs: int = 8
    fine_tune_epochs: int = 4
    batch_size: int = 16
    lr: float = 3e-3
    fine_tune_lr: float = 1e-3
    methods: tuple[str, ...] = ("random", "snip", "magnitude", "lottery", "rigl")
    sparsities: tuple[float, ...] = (0.8, 0.95)
    levels: tuple[float, ...] = (0.8, 0.95)
    seeds: tuple[int, ...] = (0, 1, 2)
    snip_batch: int = 64
    mode: Mode | None = "train"
    grasp_temperature: float = 200.0


@dataclass(frozen=True)
class Int8Settings:
    """Zeros and eight bits together, on the last of ``StudentSettings.students``, distilled and pruned as it is there.

    Attributes:
        patterns: what lives and dies together: "unstructured", single weights; "1x4", four input channels.
        sparsities: fractions of zeros of the whole network; the network without zeros is there in any case.
        samples: training images that show the ranges of activations.
        keep_float: layers that stay float32 when no training follows: names, patterns, "first", "last".
        epochs: of training in 8 bits, which follows pruning at its input size.
        lr: peak learning rate of these.
    """

    patterns: tuple[str, ...] = ("unstructured", "1x4")
    sparsities: tuple[float, ...] = (0.8, 0.9)
    samples: int = 256
    keep_float: tuple[str, ...] = ()
    epochs: int = 1
    lr: float = 1e-4


@dataclass(frozen=True)
class TradeoffSettings:
    """All ways to a faster network, each in float32 and in int8: macro F1 against measured milliseconds.

    Attributes:
        training: of every network, with the methods, budgets and seeds of those that training makes sparse.
        multipliers: of the widths of the network, for dense ones that are narrower; the zoo has them.
        at_once: ways to prune the dense network without training: see ``at_once.WAYS``.
        speedups: how many times as fast as dense that makes it.
        narrow: one of ``multipliers``, whose network is pruned at once as well, the first way.
        narrow_speedups: how many times as fast as it is that makes it.
        samples: training images, without labels, for pruning at once and for the ranges of int8.
    """

    training: ComparisonSettings = ComparisonSettings(
        model="minixception-128-256",
        size=64,
        fine_tune_epochs=4,
        methods=("gradual", "gradual-1x4", "snip", "lottery", "rigl"),
        sparsities=(0.9, 0.95),
        levels=(0.8, 0.9, 0.95),
    )
    multipliers: tuple[float, ...] = (0.75, 0.5, 0.25, 0.125)
    at_once: tuple[str, ...] = ("at-once", "at-once-uniform", "at-once-magnitude")
    speedups: tuple[float, ...] = (5.0, 8.0)
    narrow: float = 0.25
    narrow_speedups: tuple[float, ...] = (2.0,)
    samples: int = 256


@dataclass(frozen=True)
class Settings:
    """A whole run.

    Attributes:
        scale: the preset this began from.
        data: MaskedFace-Net; None draws faces.
        images: faces to draw for training; a quarter as many for the test.
        sections: which of ``SECTIONS`` to make.
        threads: of the engine while it is timed.
        seconds: about how long to time each network.
        augment: options of the training images' augmentation that differ from its defaults.
        precision: of the training of classifiers, as in ``TrainConfig``.
        maskcnn, students, snip, comparison, int8, tradeoff: the sections.
    """

    scale: Scale = "small"
    data: str | None = None
    images: int = 600
    sections: tuple[str, ...] = tuple(SECTIONS)
    threads: int = 1
    seconds: float = 2.0
    augment: dict[str, Any] = field(default_factory=dict)
    precision: str = "auto"
    maskcnn: MaskCNNSettings = MaskCNNSettings()
    students: StudentSettings = StudentSettings()
    snip: SnipSettings = SnipSettings()
    comparison: ComparisonSettings = ComparisonSettings()
    int8: Int8Settings = Int8Settings()
    tradeoff: TradeoffSettings = TradeoffSettings()

    def __post_init__(self) -> None:
        unknown = [name for name in self.sections if name not in SECTIONS]
        if unknown or not self.sections:
            raise InputError(f"sections are {', '.join(SECTIONS)}; got {', '.join(unknown) or 'none'}")
        for asked in (self.comparison, self.tradeoff.training):
            missing = set(asked.sparsities) - set(asked.levels)
            if missing and any(method.startswith("lottery") for method in asked.methods):
                raise InputError(f"lottery tickets pass {asked.levels}, not the budget {min(missing)}")
        if self.tradeoff.narrow_speedups and self.tradeoff.narrow not in self.tradeoff.multipliers:
            raise InputError(
                f"no dense network of {self.tradeoff.narrow} of the width is trained, to be pruned"
            )

    @classmethod
    def preset(cls, scale: Scale, data: str | None = None) -> Settings:
        """The settings called ``scale``: "small" for two cores, "paper" for the papers' own, on a GPU.

        Raises:
            InputError: there is no such scale, or it needs data.
        """
        if scale == "small":
            return _small(data)
        if scale == "paper":
            if data is None:
                raise InputError("the papers' own scale needs MaskedFace-Net: name its folder with --data")
            return _paper(data)
        raise InputError(f"unknown scale '{scale}': choose small or paper")

    def save(self, path: Path) -> None:
        """Write as JSON, unless the file says the same already: its age tells when settings last changed."""
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        if not path.is_file() or path.read_text() != text:
            write_text(path, text)

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read what ``save`` wrote.

        Raises:
            DataError: the file is missing or holds anything else.
        """
        try:
            return typing.cast(Settings, _rebuild(cls, strict_json.read(path)))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path} holds no settings of a run: {error}") from None


def _small(data: str | None) -> Settings:
    return Settings(data=data) if data else Settings(augment=DRAWN_AUGMENT)


def _paper(data: str) -> Settings:
    """The papers' sizes, epochs and learning rates; the students' pruning is their two epochs."""
    return Settings(
        scale="paper",
        data=data,
        seconds=5.0,
        maskcnn=MaskCNNSettings(
            epochs=20, batch_size=64, lr=8e-3, train_images=10**9, test_images=10**9, seeds=(0, 1, 2)
        ),
        students=StudentSettings(
            teacher_stages=((256, 20),), student_stages=((256, 7),), prune_stages=((256, 2),), batch_size=64,
            alpha=ALPHA, students=("minixception-128-keras", "minixception-128-256-keras"), prune_first=True,
            mask_every=100,
        ),
        snip=SnipSettings(
            model="retinaface-resnet50", size=640, images=10**9, epochs=100, batch_size=2, optimizer="sgd", lr=1e-3,
            mode="eval",
        ),
        comparison=ComparisonSettings(
            size=256, epochs=20, fine_tune_epochs=10, batch_size=64,
            methods=(
                "random", "random-erk", "snip", "synflow", "grasp", "snip-shuffled", "magnitude", "lottery",
                "lottery-erk", "set", "rigl",
            ),
            sparsities=(0.5, 0.8, 0.9, 0.95), levels=(0.2, 0.36, 0.5, 0.68, 0.8, 0.9, 0.95), seeds=(0, 1, 2, 3, 4),
            snip_batch=128, mode=None,
        ),
        int8=Int8Settings(samples=1024, epochs=2),
        tradeoff=TradeoffSettings(
            ComparisonSettings(
                model="minixception-128-256", size=256, epochs=20, fine_tune_epochs=10, batch_size=64,
                methods=("gradual", "gradual-1x4", "snip", "lottery", "rigl"), sparsities=(0.8, 0.9, 0.95),
                levels=(0.5, 0.8, 0.9, 0.95), seeds=(0, 1, 2, 3, 4), snip_batch=128,
            ),
            speedups=(2.0, 4.0, 6.0, 8.0), samples=1024,
        ),
    )  # fmt: skip


def _rebuild(kind: Any, value: Any) -> Any:
    """``value``, plain from JSON, as ``kind``: dataclasses and tuples made whole again."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return typing.cast(type, kind)(**{name: _rebuild(hints[name], part) for name, part in value.items()})
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)
        if element[-1] is Ellipsis:
            return tuple(_rebuild(element[0], part) for part in value)
        return tuple(_rebuild(one, part) for one, part in zip(element, value, strict=True))
    if isinstance(kind, types.UnionType):
        return value
    return value
