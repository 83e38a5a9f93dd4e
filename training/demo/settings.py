"""What a demo run is asked to do, and the recipe of each of its five networks."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsenet.checks import items, one_of, real_number, whole_number
from sparsenet.engine_options import MAX_THREADS
from sparsenet.errors import InputError
from training.data.files import OnError
from training.loop.config import TrainConfig
from training.models.registry import MODELS, known_model
from training.pruning.block_shape import Block, block_length, block_text

#: (input size, epochs) one after another, as in ``TrainConfig.stages``.
Stages = tuple[tuple[int, int], ...]

TEACHER_LR, STUDENT_LR, PRUNE_LR = 2e-3, 3e-3, 1e-3
#: Weight of the labels in distillation.
ALPHA = 0.1
#: On drawn faces the teacher is of the student's kind and learns longer: after 2,000 of them, one epoch at 48², an
#: Xception has 57 % accuracy and has cost as much as five epochs of a MiniXception, which has 95 % then.
DRAWN_TEACHER, TEACHER = "minixception-128-256", "xception"
DRAWN_TEACHER_LR = STUDENT_LR

#: A run of few epochs on few drawn faces is short of steps, not of images.
DRAWN_BATCH, BATCH = 16, 32


@dataclass(frozen=True)
class Schedules:
    """Input sizes and epochs of the teacher, of both students, and of both students' pruning."""

    teacher: Stages
    student: Stages
    prune: Stages


#: For drawn faces: minutes on two cores.
QUICK = Schedules(teacher=((48, 8),), student=((48, 3),), prune=((48, 3),))
#: For a folder of photographs: as long as real accuracy takes.
THOROUGH = Schedules(teacher=((96, 20),), student=((128, 24), (256, 6)), prune=((256, 4),))


#: Drawn faces differ in pose, light and colour by themselves: small changes are enough, and are learned sooner.
DRAWN_AUGMENT: dict[str, Any] = {
    "degrees": 8.0,
    "scale": (0.93, 1.07),
    "aspect": 0.03,
    "translate": 0.06,
    "brightness": 0.1,
    "contrast": (0.85, 1.15),
    "saturation": (0.8, 1.2),
    "colour_shift": 0.02,
}


@dataclass(frozen=True)
class DemoSettings:
    """A whole run.

    Attributes:
        data: folder of images; None draws ``images`` faces for training and a quarter as many for the test.
        out: folder for weights, model files and the report.
        schedules: how long every network trains, at which input sizes.
        sparsity: fraction of zeros after pruning; the schedule starts at half, or below if this is lower.
        block: (1, 4) prunes four input channels of an output and a tap together; None prunes single weights.
        prune_first: whether layers that read the image lose weights as well; depthwise ones never do.
        mask_every: optimizer steps from one tightening of the masks to the next; None spreads a number of them evenly.
        temperature, alpha: of distillation; alpha weighs the hard labels.
        threads: of the engine and of PyTorch while they are timed. Training uses what PyTorch takes by itself.
        precision: "auto", "fp32" or "bf16", in training.
        values: storage of the weights in the files that stand in the main table.
        weights: folder with trained weights to use instead of training, ``<stage>.safetensors``.
        curve: sparsities at which the distilled student is judged and timed.
        seconds: about how long to time each network; each point of the curve gets a quarter.
        progress: whether to draw progress bars.
    """

    out: Path
    data: Path | None = None
    images: int = 2400
    on_error: OnError = "raise"
    teacher: str = DRAWN_TEACHER
    student: str = "minixception-128-256"
    schedules: Schedules = QUICK
    sparsity: float = 0.8
    block: Block | None = None
    prune_first: bool = False
    mask_every: int | None = None
    temperature: float = 5.0
    alpha: float = ALPHA
    threads: int = 1
    precision: str = "fp32"
    values: str = "i8"
    seed: int = 0
    weights: Path | None = None
    curve: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
    seconds: float = 2.5
    progress: bool = True

    def __post_init__(self) -> None:
        for name in (self.teacher, self.student):
            known_model(name, MODELS)
        real_number(self.sparsity, "sparsity", 0, 1, above=True)
        if self.sparsity == 1:
            raise InputError("sparsity must be less than 1: nothing would be left")
        block_length(self.block)
        whole_number(self.threads, "threads", MAX_THREADS)
        whole_number(self.images, "images", least=8)
        real_number(self.temperature, "temperature", above=True)
        real_number(self.alpha, "alpha", 0, 1)
        real_number(self.seconds, "seconds", above=True)
        one_of(self.precision, "precision", ("auto", "fp32", "bf16"))
        one_of(self.values, "values", ("f32", "f16", "i8"))
        one_of(self.on_error, "on_error", ("raise", "skip"))
        for sparsity in items(self.curve, "curve"):
            real_number(sparsity, "curve", 0, 1)
        if self.mask_every is not None:
            whole_number(self.mask_every, "mask_every")

    @property
    def initial_sparsity(self) -> float:
        """Where the pruning schedule starts."""
        return min(0.5, self.sparsity)

    def command(self) -> str:
        """The command line that asks for exactly this, every default spelled out."""
        words: list[str] = ["sparsenet", "demo"]
        if self.data is not None:
            words += ["--data", str(self.data), "--on-error", self.on_error]
        else:
            words += ["--images", str(self.images)]
        words += ["--teacher", self.teacher, "--student", self.student]
        words += ["--teacher-stages", stages_text(self.schedules.teacher)]
        words += ["--stages", stages_text(self.schedules.student)]
        words += ["--prune-stages", stages_text(self.schedules.prune)]
        words += ["--sparsity", f"{self.sparsity:g}", "--values", self.values]
        if self.block is not None:
            words += ["--block", block_text(self.block)]
        words += ["--temperature", f"{self.temperature:g}", "--alpha", f"{self.alpha:g}"]
        words += ["--threads", str(self.threads), "--seconds", f"{self.seconds:g}"]
        words += ["--curve", *(f"{sparsity:g}" for sparsity in self.curve)]
        words += ["--precision", self.precision, "--seed", str(self.seed)]
        if self.weights is not None:
            words += ["--weights", str(self.weights)]
        return shlex.join([*words, "--out", str(self.out)])


@dataclass(frozen=True)
class Recipe:
    """How one network is made.

    Attributes:
        key, title: name of the stage, in file names and for readers.
        model: name in the model zoo.
        config: of its training.
        start: stage whose weights it starts from; random ones if None.
        teacher: stage whose answers it learns besides the labels; the labels alone if None.
        sparsity: what it is pruned to while it trains; 0 leaves it whole.
    """

    key: str
    title: str
    model: str
    config: TrainConfig
    start: str | None = None
    teacher: str | None = None
    sparsity: float = 0.0


def recipes(settings: DemoSettings) -> list[Recipe]:
    """The five networks, in the order they are made."""

    def config(stages: Stages, lr: float) -> TrainConfig:
        drawn = settings.data is None
        return TrainConfig(
            stages=stages,
            lr=lr,
            batch_size=DRAWN_BATCH if drawn else BATCH,
            precision=settings.precision,
            seed=settings.seed,
            augment=DRAWN_AUGMENT if drawn else {},
        )

    schedules, student = settings.schedules, settings.student
    teacher_lr = DRAWN_TEACHER_LR if settings.data is None else TEACHER_LR
    return [
        Recipe("teacher", "Teacher", settings.teacher, config(schedules.teacher, teacher_lr)),
        Recipe("scratch", "From scratch", student, config(schedules.student, STUDENT_LR)),
        Recipe(
            "scratch-pruned", "From scratch + pruned", student, config(schedules.prune, PRUNE_LR),
            start="scratch", sparsity=settings.sparsity,
        ),
        Recipe("distilled", "Distilled", student, config(schedules.student, STUDENT_LR), teacher="teacher"),
        Recipe(
            "distilled-pruned", "Distilled + pruned", student, config(schedules.prune, PRUNE_LR),
            start="distilled", teacher="teacher", sparsity=settings.sparsity,
        ),
    ]  # fmt: skip


def stages_text(stages: Stages) -> str:
    """``((128, 24), (256, 6))`` as the command line writes it: ``128:24,256:6``."""
    return ",".join(f"{size}:{epochs}" for size, epochs in stages)
