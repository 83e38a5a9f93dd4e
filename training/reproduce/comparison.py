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
from training.demo.stages import spared_layers
from training.loop.config import TrainConfig
from training.loop.run import Hook
from training.models import build_model
from training.pruning import DropSchedule, DynamicSparsity, Masks, find_masks
from training.pruning.block_shape import Block
from training.pruning.scopes import Scope
from training.reproduce.checkpoints import checkpoint_for
from training.reproduce.images import load_images
from training.reproduce.networks import history, judge
from training.reproduce.results import write_result
from training.reproduce.settings import ComparisonSettings, Settings
from training.train import train


@dataclass(frozen=True)
class Method:
    """One way.

    Attributes:
        title: for readers.
        kind: "foresight" prunes initial weights and trains once; "after" prunes the trained network and fine-tunes it;
            "ticket" prunes the trained network, goes back to the initial weights and trains again, level by level.
        scorer: registered name of the criterion.
        scope: "global" compares weights of all layers, "layer" takes the same share of each.
        shuffle: whether what is kept moves to random places within each layer.
        moves: what masks move by while the network trains ("rigl", "set"), if they do.
        block: what is kept or pruned together, if not single weights.
    """

    title: str
    kind: Literal["foresight", "after", "ticket"]
    scorer: str
    scope: Scope = "global"
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
    "lottery": Method("lottery ticket", "ticket", "l1", "layer"),
    "lottery-erk": Method("lottery ticket, Erdős-Rényi-Kernel", "ticket", "l1", "erk"),
    "rigl": Method("RigL", "foresight", "random", "erk", moves="rigl"),
    "set": Method("SET", "foresight", "random", "erk", moves="set"),
    "rigl-1x4": Method("RigL, 1×4 blocks", "foresight", "random", "erk", block=(1, 4), moves="rigl"),
    "snip-1x4": Method("SNIP, 1×4 blocks", "foresight", "snip", block=(1, 4)),
    "magnitude-1x4": Method("magnitude, 1×4 blocks", "after", "l1", "layer", block=(1, 4)),
    "lottery-1x4": Method("lottery ticket, 1×4 blocks", "ticket", "l1", "layer", block=(1, 4)),
}


def train_dense(
    settings: Settings, images: Path, test: Path, seed: str, out: Path, file: Path, result: Path
) -> None:
    """Cell: the network that nothing is pruned from; weights to ``out``, model file to ``file``."""
    asked = settings.comparison
    task = _Task(settings, images, test, int(seed))
    model, epochs = task.train(task.initial(), [], asked.epochs, asked.lr, out)
    task.finish(
        model, epochs, out, file, result, {"method": "dense", "sparsity": 0.0, "epochs": asked.epochs}
    )


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
    """Cell: one method at one budget.

    Args:
        settings: of the run.
        images, test: image files.
        method: one of ``METHODS``.
        sparsity: fraction of zeros of the whole network.
        seed: of initial weights, batches and training.
        out, masks, file, result: weights, masks, model file and figures to write.
        trained: weights that "after" and "ticket" prune.
        within: masks of the level before, for "ticket".
    """
    asked, way = settings.comparison, METHODS[method]
    task = _Task(settings, images, test, int(seed))
    model = load_model(trained)[0] if trained is not None else task.initial()
    found = task.find(way, model, float(sparsity), Masks.load(within) if within is not None else None)
    if way.kind == "after":
        length, rate, total = (
            asked.fine_tune_epochs,
            asked.fine_tune_lr,
            asked.epochs + asked.fine_tune_epochs,
        )
    else:
        length, rate, total = asked.epochs, asked.lr, asked.epochs
        model = task.initial()
        if way.kind == "ticket":
            total = asked.epochs * (2 + asked.levels.index(float(sparsity)))
    found.apply(model)
    hook = found if way.moves is None else task.moving(found, way.moves, length)
    model, epochs = task.train(model, [hook], length, rate, out)
    found = hook if isinstance(hook, Masks) else hook.masks
    masks.parent.mkdir(parents=True, exist_ok=True)
    found.save(masks)
    notes = {"method": method, "sparsity": float(sparsity), "epochs": total, "rescued": found.info["rescued"]}
    task.finish(model, epochs, out, file, result, notes)


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

    def moving(self, masks: Masks, method: str, epochs: int) -> DynamicSparsity:
        steps = max(1, len(self.images) // self.asked.batch_size) * epochs
        return DynamicSparsity(masks, DropSchedule.over(steps), method, self.seed)

    def train(
        self, model: nn.Module, hooks: list[Hook], epochs: int, lr: float, out: Path
    ) -> tuple[nn.Module, list[dict[str, object]]]:
        config = TrainConfig(
            stages=((self.asked.size, epochs),),
            batch_size=self.asked.batch_size,
            lr=lr,
            seed=self.seed,
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
        result: Path,
        notes: dict[str, object],
    ) -> None:
        info = ModelInfo(self.asked.model, self.images.class_names, self.asked.size, seed=self.seed)
        save_model(out, model, info)
        figures = judge(model, info, file, self.test)
        write_result(
            result, {**notes, "seed": self.seed, "file": file.stem, **figures, "training": epochs}
        )  # fmt: skip
