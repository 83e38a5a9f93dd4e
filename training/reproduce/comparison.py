"""Ways to find a sparse network, at equal budgets of weights: before training, after it, or in rounds of it.

Every method gets the same network from the same initial weights, the same images in the same order and the same number
of weights in the end. Depthwise convolutions and the first one stay whole, for all of them alike: they hold 2 % of the
weights, and a depthwise filter of nine is soon empty. What differs, apart from the method, is how long it
trains; the table says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch.nn.functional as F
from torch import nn

from training.checkpoint import ModelInfo, load_model, save_model
from training.data.images import drawn_at_random, to_float
from training.demo.stages import raised_sparsity, rising, spared_layers
from training.loop.config import TrainConfig
from training.loop.run import Hook
from training.models import build_model
from training.pruning import DropSchedule, DynamicSparsity, GradualPruner, Masks, find_masks
from training.pruning.block_shape import Block
from training.pruning.scopes import WeightScope
from training.reproduce.checkpoints import checkpoint_for
from training.reproduce.images import load_images
from training.reproduce.networks import history, judge
from training.reproduce.results import Result, write_result
from training.reproduce.settings import ComparisonSettings, Settings
from training.train import train


@dataclass(frozen=True)
class Method:
    """One way.

    Attributes:
        title: for readers.
        kind: "foresight" prunes initial weights and trains once; "after" prunes the trained network and fine-tunes it,
            "gradual" bit by bit on the way; "ticket" prunes the trained network, goes back to the initial weights and
            trains again, level by level.
        scorer: registered name of the criterion.
        scope: "global" compares weights of all layers, "layer" takes the same share of each.
        shuffle: whether what is kept moves to random places within each layer.
        moves: what masks move by while the network trains ("rigl", "set"), if they do.
        block: what is kept or pruned together, if not single weights.
    """

    title: str
    kind: Literal["foresight", "after", "gradual", "ticket"]
    scorer: str
    scope: WeightScope = "global"
    shuffle: bool = False
    block: Block | None = None
    moves: str | None = None


METHODS = {
    "random": Method("random", "foresight", "random"),
    "snip": Method("SNIP", "foresight", "snip"),
    "random-erk": Method("random, Erdős-Rényi-Kernel", "foresight", "random", "erk"),
    "snip-erk": Method("SNIP, Erdős-Rényi-Kernel", "foresight", "snip", "erk"),
    "snip-shuffled": Method("SNIP, shuffled within layers", "foresight", "snip", shuffle=True),
    "synflow": Method("SynFlow", "foresight", "synflow"),
    "grasp": Method("GraSP", "foresight", "grasp"),
    # Magnitudes of one layer say little beside another's: over all layers together, 80 % take 998 of 1,000 weights of
    # MiniXception's classifier, which starts from the smallest ones, and with it what the network has learned.
    "magnitude": Method("magnitude", "after", "l1", "layer"),
    "magnitude-global": Method("magnitude, over all layers", "after", "l1"),
    "magnitude-erk": Method("magnitude, Erdős-Rényi-Kernel", "after", "l1", "erk"),
    "gradual": Method("magnitude, gradually", "gradual", "l1", "layer"),
    "lottery": Method("lottery ticket", "ticket", "l1", "layer"),
    "lottery-erk": Method("lottery ticket, Erdős-Rényi-Kernel", "ticket", "l1", "erk"),
    "rigl": Method("RigL", "foresight", "random", "erk", moves="rigl"),
    "set": Method("SET", "foresight", "random", "erk", moves="set"),
    "rigl-1x4": Method("RigL, 1×4 blocks", "foresight", "random", "erk", block=(1, 4), moves="rigl"),
    "snip-1x4": Method("SNIP, 1×4 blocks", "foresight", "snip", block=(1, 4)),
    "magnitude-1x4": Method("magnitude, 1×4 blocks", "after", "l1", "layer", block=(1, 4)),
    "gradual-1x4": Method("magnitude, gradually, 1×4 blocks", "gradual", "l1", "layer", block=(1, 4)),
    "lottery-1x4": Method("lottery ticket, 1×4 blocks", "ticket", "l1", "layer", block=(1, 4)),
}


def train_dense(
    settings: Settings, images: Path, test: Path, seed: str, out: Path, file: Path, result: Path
) -> None:
    """Cell: the network that nothing is pruned from; weights to ``out``, model file to ``file``."""
    write_result(result, dense(settings, images, test, int(seed), out, file))


def train_sparse(
    settings: Settings,
    images: Path,
    test: Path,
    method: str,
    sparsity: str,
    seed: str,
    out: Path,
    masks: Path,
    file: Path,
    result: Path,
    trained: Path | None = None,
    within: Path | None = None,
) -> None:
    """Cell: one method at one budget; the figures go to ``result``, all else is as of ``sparse``."""
    found = sparse(
        settings, images, test, method, float(sparsity), int(seed), out, masks, file, trained, within
    )
    write_result(result, found)


def dense(settings: Settings, images: Path, test: Path, seed: int, out: Path, file: Path) -> Result:
    """Train the network that nothing is pruned from; weights to ``out``, model file to ``file``."""
    asked = settings.comparison
    task = _Task(settings, images, test, seed)
    model, epochs = task.train(task.initial(), [], asked.epochs, asked.lr, out)
    notes = {"method": "dense", "sparsity": 0.0, "epochs": asked.epochs}
    return task.finish(model, epochs, out, file, notes)


def sparse(
    settings: Settings,
    images: Path,
    test: Path,
    method: str,
    sparsity: float,
    seed: int,
    out: Path,
    masks: Path,
    file: Path,
    trained: Path | None = None,
    within: Path | None = None,
) -> Result:
    """Make a network sparse by one method at one budget.

    Args:
        settings: of the run; ``comparison`` says how to train.
        images, test: image files.
        method: one of ``METHODS``.
        sparsity: fraction of zeros of the whole network.
        seed: of initial weights, batches and training.
        out, masks, file: weights, masks and model file to write.
        trained: weights that "after", "gradual" and "ticket" prune.
        within: masks of the level before, for "ticket".
    """
    asked, way = settings.comparison, METHODS[method]
    task = _Task(settings, images, test, seed)
    model = load_model(trained)[0] if trained is not None else task.initial()
    hook: Masks | DynamicSparsity | GradualPruner
    if way.kind == "gradual":
        hook = task.tightening(way, model, sparsity)
    else:
        hook = task.find(way, model, sparsity, Masks.load(within) if within is not None else None)
    if way.kind in ("after", "gradual"):
        length, rate = asked.fine_tune_epochs, asked.fine_tune_lr
        total = asked.epochs + length
    else:
        length, rate, total = asked.epochs, asked.lr, asked.epochs
        model = task.initial()
        if way.kind == "ticket":
            total = asked.epochs * (2 + asked.levels.index(sparsity))
    if isinstance(hook, Masks):
        hook.apply(model)
        hook = hook if way.moves is None else task.moving(hook, way.moves, length)
    model, epochs = task.train(model, [hook], length, rate, out)
    found = hook if isinstance(hook, Masks) else hook.masks
    assert found is not None
    masks.parent.mkdir(parents=True, exist_ok=True)
    found.save(masks)
    notes = {"method": method, "sparsity": sparsity, "epochs": total, "rescued": found.info["rescued"]}
    return task.finish(model, epochs, out, file, notes)


class _Task:
    """What all methods share."""

    def __init__(self, settings: Settings, images: Path, test: Path, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.asked: ComparisonSettings = settings.comparison
        self.images, self.test = load_images(images), load_images(test)

    def initial(self) -> nn.Module:
        return build_model(self.asked.model, len(self.images.class_names), self.seed)

    def find(self, way: Method, model: nn.Module, sparsity: float, within: Masks | None) -> Masks:
        batch = drawn_at_random(self.images, self.asked.snip_batch, self.seed).resized(self.asked.size)
        return find_masks(
            model,
            way.scorer,
            sparsity=sparsity,
            scope=way.scope,
            whole=spared_layers(model) or None,
            batches=[(to_float(batch.images), batch.labels)],
            loss=F.cross_entropy,
            seed=self.seed,
            within=within,
            shuffle=way.shuffle,
            block=way.block,
            mode=self.asked.mode if way.kind == "foresight" and way.scorer != "synflow" else None,
            temperature=self.asked.grasp_temperature if way.scorer == "grasp" else None,
        )

    def tightening(self, way: Method, model: nn.Module, sparsity: float) -> GradualPruner:
        spared = spared_layers(model)
        raised = raised_sparsity(model, sparsity, spared)
        schedule = rising(min(0.5, raised), raised, self._steps(self.asked.fine_tune_epochs))
        return GradualPruner(
            model, schedule, way.scorer, way.scope, exclude=spared or None, block=way.block, seed=self.seed
        )

    def moving(self, masks: Masks, method: str, epochs: int) -> DynamicSparsity:
        return DynamicSparsity(masks, DropSchedule.over(self._steps(epochs)), method, self.seed)

    def _steps(self, epochs: int) -> int:
        return max(1, len(self.images) // self.asked.batch_size) * epochs

    def train(
        self, model: nn.Module, hooks: list[Hook], epochs: int, lr: float, out: Path
    ) -> tuple[nn.Module, list[dict[str, object]]]:
        config = TrainConfig(
            stages=((self.asked.size, epochs),),
            batch_size=self.asked.batch_size,
            lr=lr,
            seed=self.seed,
            precision=self.settings.precision,
            augment=self.settings.augment,
        )
        found = train(
            model,
            self.images,
            config,
            hooks=hooks,
            checkpoint=checkpoint_for(out, self.settings, self.asked),
            progress=False,
        )
        return found.model, history(found.history)

    def finish(
        self,
        model: nn.Module,
        epochs: list[dict[str, object]],
        out: Path,
        file: Path,
        notes: dict[str, object],
    ) -> Result:
        info = ModelInfo(self.asked.model, self.images.class_names, self.asked.size, seed=self.seed)
        save_model(out, model, info)
        figures = judge(model, info, file, self.test)
        return {**notes, "seed": self.seed, "file": file.stem, **figures, "training": epochs}
