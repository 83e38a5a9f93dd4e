"""The networks of the demo: trained now, continued where they were interrupted, or found trained."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sparsenet.errors import CheckpointError, InputError
from training.checkpoint import ModelInfo, load_model, save_model
from training.data.images import LabeledImages
from training.data.maskedface_net import CLASS_NAMES
from training.demo.settings import DemoSettings, Recipe, stages_text
from training.distill import Distillation
from training.loop.run import EpochRecord
from training.models import build_model
from training.pruning import GradualPruner, PolynomialSchedule
from training.pruning.block_shape import block_text
from training.pruning.prunable import prunable_weights
from training.report.model import Epoch
from training.train import train

#: Share of the pruning epochs in which sparsity rises; in the rest the network settles at its final sparsity.
RISE = 0.75
#: How often the masks are found anew on the way.
MASK_UPDATES = 30

#: What a stage notes in its weights file for runs to come.
OWN_NOTES = ("identity", "stages", "seconds", "epochs")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Trained:
    """One network of the demo.

    Attributes:
        recipe: how it was to be made.
        model: in eval mode, on the CPU.
        info: what its weights file says.
        path: that file.
        identity: equal for networks made in the same way from the same images.
        epochs, seconds: how its training went; no epochs where the file does not tell.
        reused: where it or a part of its training came from, None if all of it was trained in this run.
        given: whether it was not trained by a demo with these settings at all.
    """

    recipe: Recipe
    model: nn.Module
    info: ModelInfo
    path: Path
    identity: str
    epochs: list[Epoch]
    seconds: float
    reused: str | None
    given: bool = False

    def description(self) -> str:
        """How it was trained, as far as that is known."""
        if self.given:
            told = [f"{key} {value}" for key, value in self.info.notes.items() if key not in OWN_NOTES]
            return f"{self.info.model}, {'; '.join(['given trained', *told])}"
        config = self.recipe.config
        return f"{self.info.model}, {stages_text(config.stages)} (input size:epochs), learning rate {config.lr:g}"


def given_weights(settings: DemoSettings, recipe: Recipe) -> Trained | None:
    """The network of this stage in ``settings.weights``, if there is one.

    Raises:
        InputError: it is of another model than asked for.
        CheckpointError: it is damaged.
    """
    if settings.weights is None:
        return None
    path = settings.weights / f"{recipe.key}.safetensors"
    if not path.is_file():
        return None
    model, info = load_model(path)
    if info.model != recipe.model:
        raise InputError(f"{path} holds a '{info.model}', but this run is to use a '{recipe.model}'")
    identity = hashlib.sha256(path.read_bytes()).hexdigest()
    return dataclasses.replace(_from_file(recipe, model, info, path, identity, f"given: {path}"), given=True)


class StageTrainer:
    """Makes networks one after another, each from its recipe and those before it.

    ``watched`` images are judged after every epoch, for the picture of the training alone: nothing is chosen by them.
    Weights go to ``out/weights/<stage>.safetensors`` with the identity of what made them, so a later run knows which
    it may use again; an unfinished training keeps a checkpoint beside them under that identity.
    """

    def __init__(
        self,
        settings: DemoSettings,
        images: LabeledImages,
        watched: LabeledImages,
        given: dict[str, Trained],
        say: Say,
    ) -> None:
        self.settings, self.images, self.watched, self.say = settings, images, watched, say
        self.folder = settings.out / "weights"
        self.made: dict[str, Trained] = {}
        self._given = given
        self._images_identity = _images_identity(images)

    def make(self, recipe: Recipe) -> Trained:
        """The network of ``recipe``: given, found finished under ``out``, or trained now."""
        identity = self._identity(recipe)
        made = (
            self._given.get(recipe.key) or self._finished(recipe, identity) or self._train(recipe, identity)
        )
        if made.info.class_names != self.images.class_names:
            raise InputError(
                f"{made.path} tells apart {', '.join(made.info.class_names)}; the images are "
                f"{', '.join(self.images.class_names)}"
            )
        self.made[recipe.key] = made
        return made

    def _identity(self, recipe: Recipe) -> str:
        description = {
            "recipe": dataclasses.asdict(recipe),
            "images": self._images_identity,
            "from": [self.made[key].identity for key in (recipe.start, recipe.teacher) if key],
            "distillation": [self.settings.temperature, self.settings.alpha] if recipe.teacher else None,
            "pruning": self._pruning() if recipe.sparsity else None,
        }
        return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()

    def _pruning(self) -> list[object]:
        block = self.settings.block
        units = "spared" if block is None else f"spared, {block_text(block)}"
        return [self.settings.initial_sparsity, RISE, MASK_UPDATES, units]

    def _finished(self, recipe: Recipe, identity: str) -> Trained | None:
        path = self.folder / f"{recipe.key}.safetensors"
        try:
            model, info = load_model(path)
        except CheckpointError:
            return None  # missing or damaged: made anew
        if info.notes.get("identity") != identity:
            return None
        return _from_file(recipe, model, info, path, identity, f"an earlier run: {path}")

    def _train(self, recipe: Recipe, identity: str) -> Trained:
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / f"{recipe.key}-{identity[:12]}.checkpoint"
        continued = checkpoint.exists()
        if continued:
            self.say("      continues from its checkpoint")
        start = time.perf_counter()
        model = self._initial(recipe)
        schedule = self._schedule(recipe)
        result = train(
            model,
            self.images,
            recipe.config,
            loss=self._loss(recipe),
            hooks=self._pruner(model, schedule) if schedule else [],
            validation=self.watched,
            checkpoint=checkpoint,
            progress=self.settings.progress,
            on_epoch=None if sys.stderr.isatty() else self._say_epoch,
        )
        seconds = time.perf_counter() - start
        epochs = [self._epoch(recipe, record, schedule) for record in result.history]
        told = (
            identity,
            stages_text(recipe.config.stages),
            f"{seconds:.1f}",
            json.dumps([dataclasses.asdict(epoch) for epoch in epochs]),
        )
        notes = dict(zip(OWN_NOTES, told, strict=True))
        if recipe.sparsity and self.settings.block is not None:
            notes["block"] = block_text(self.settings.block)
        path = self.folder / f"{recipe.key}.safetensors"
        info = ModelInfo(
            model=recipe.model,
            class_names=self.images.class_names,
            input_size=recipe.config.stages[-1][0],
            task="4-class" if self.images.class_names == CLASS_NAMES else "folder",
            seed=recipe.config.seed,
            notes=notes,
        )
        save_model(path, result.model, info)
        for leftover in self.folder.glob(f"{recipe.key}-*.checkpoint"):
            leftover.unlink()
        reused = f"continued after an interruption; {seconds:.0f} s in this run" if continued else None
        model, info = load_model(path)  # what a later run would find
        return Trained(recipe, model, info, path, identity, epochs, seconds, reused)

    def _initial(self, recipe: Recipe) -> nn.Module:
        if recipe.start:
            return self.made[recipe.start].model
        return build_model(recipe.model, len(self.images.class_names), recipe.config.seed)

    def _loss(self, recipe: Recipe) -> Distillation | None:
        if recipe.teacher is None:
            return None
        teacher = self.made[recipe.teacher]
        # Read again: training may move it to a GPU, and the network kept here is converted on the CPU.
        copy, _ = load_model(teacher.path)
        return Distillation([(copy, teacher.info.input_size)], self.settings.temperature, self.settings.alpha)

    def _steps_per_epoch(self, recipe: Recipe) -> int:
        return max(1, len(self.images) // recipe.config.batch_size)

    def _schedule(self, recipe: Recipe) -> PolynomialSchedule | None:
        if recipe.sparsity == 0:
            return None
        steps = self._steps_per_epoch(recipe) * len(recipe.config.epochs)
        return rising(self.settings.initial_sparsity, recipe.sparsity, steps, self.settings.mask_every)

    def _pruner(self, model: nn.Module, schedule: PolynomialSchedule) -> list[GradualPruner]:
        spared = spared_layers(model, first=not self.settings.prune_first)
        raised = dataclasses.replace(schedule, final=raised_sparsity(model, schedule.final, spared))
        return [
            GradualPruner(
                model, raised, exclude=spared or None, block=self.settings.block, seed=self.settings.seed
            )
        ]

    def _epoch(self, recipe: Recipe, record: EpochRecord, schedule: PolynomialSchedule | None) -> Epoch:
        sparsity = schedule.sparsity(record.epoch * self._steps_per_epoch(recipe)) if schedule else 0.0
        return Epoch(
            record.epoch, record.size, record.train_loss, sparsity, record.val_accuracy, record.val_macro_f1
        )

    def _say_epoch(self, record: EpochRecord) -> None:
        quality = f"loss {record.train_loss:.4f}, macro F1 {record.val_macro_f1:.4f}"
        self.say(f"      epoch {record.epoch} at {record.size}²: {quality}")


def rising(initial: float, final: float, steps: int, every: int | None = None) -> PolynomialSchedule:
    """From one sparsity to another in so many steps of training; masks are found anew ``MASK_UPDATES`` times if not
    ``every`` so many steps.
    """
    end = max(1, round(RISE * steps))
    return PolynomialSchedule(initial, final, end_step=end, every=every or max(1, end // MASK_UPDATES))


def _from_file(
    recipe: Recipe, model: nn.Module, info: ModelInfo, path: Path, identity: str, reused: str
) -> Trained:
    epochs = [Epoch(**epoch) for epoch in json.loads(info.notes.get("epochs", "[]"))]
    seconds = float(info.notes.get("seconds", 0))
    return Trained(recipe, model, info, path, identity, epochs, seconds, reused)


def _images_identity(images: LabeledImages) -> str:
    digest = hashlib.sha256(repr((images.class_names, tuple(images.images.shape))).encode())
    digest.update(images.labels.numpy().tobytes())
    digest.update(images.images.numpy().data)
    return digest.hexdigest()


def spared_layers(model: nn.Module, first: bool = True) -> list[str]:
    """Names of the layers that pruning leaves whole: depthwise convolutions and, with ``first``, those of the image.

    They hold 2 % of a MiniXception's weights and most of what pruning breaks: with them spared, macro F1 after four
    epochs of fine-tuning was 0.907 on MaskedFace-Net, and 0.820 with every layer pruned to 80 %.
    """
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
        and ((first and module.in_channels == 3) or module.groups == module.in_channels > 1)
    ]


def raised_sparsity(model: nn.Module, sparsity: float, spared: list[str]) -> float:
    """What all other layers need, for the network as a whole to have ``sparsity`` although some layers are spared."""
    return min(0.99, sparsity * _weights(model, None) / _weights(model, spared))


def _weights(model: nn.Module, exclude: list[str] | None) -> int:
    return sum(weight.tensor.numel() for weight in prunable_weights(model, exclude=exclude or None).values())
