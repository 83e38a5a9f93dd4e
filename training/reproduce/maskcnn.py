"""Tables 1 and 2 of paper 1: MaskCNN, pruned in one shot, nothing trained afterwards (its section 4.2)."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from training.checkpoint import ModelInfo, load_model, save_model
from training.data.images import LabeledImages, drawn_at_random
from training.loop.config import TrainConfig
from training.models import build_model
from training.pruning import Masks, find_masks
from training.reproduce.checkpoints import checkpoint_for
from training.reproduce.images import binary, load_images
from training.reproduce.networks import history, judge
from training.reproduce.plan import MASKCNN_SIZE
from training.reproduce.results import write_result
from training.reproduce.settings import Settings
from training.train import train


def train_network(settings: Settings, images: Path, test: Path, seed: str, out: Path, log: Path) -> None:
    """Cell: train MaskCNN on "worn correctly or not"; weights to ``out``, its epochs to ``log``."""
    asked, number = settings.maskcnn, int(seed)
    data = drawn_at_random(binary(load_images(images)), asked.train_images, number)
    config = TrainConfig(
        stages=((MASKCNN_SIZE, asked.epochs),),
        batch_size=asked.batch_size,
        lr=asked.lr,
        balance=0.0,
        seed=number,
        precision=settings.precision,
        augment=settings.augment,
    )
    result = train(
        build_model("maskcnn", len(data.class_names), number),
        data,
        config,
        validation=_tested(settings, test),
        checkpoint=checkpoint_for(out, settings, asked),
        progress=False,
    )
    info = ModelInfo("maskcnn", data.class_names, MASKCNN_SIZE, task="2-class", seed=number)
    save_model(out, result.model, info)
    write_result(log, {"epochs": history(result.history), "seed": number, "images": len(data)})


def prune_network(
    settings: Settings, weights: Path, test: Path, method: str, ratio: str, seed: str, file: Path, out: Path
) -> None:
    """Cell: prune the trained network, convert it to ``file``, test the engine on it; the figures go to ``out``."""
    model, info = load_model(weights)
    masks = prune(model, method, float(ratio))
    found = judge(model, info, file, _tested(settings, test))
    write_result(
        out,
        {
            "method": method,
            "ratio": float(ratio),
            "seed": int(seed),
            "file": file.name,
            "sparsity": masks.sparsity if masks else 0.0,
            **found,
        },
    )


def prune(model: nn.Module, method: str, ratio: float) -> Masks | None:
    """Take ``ratio`` of the weights or channels of every convolution, in place; nothing for 0."""
    if ratio == 0:
        return None
    structured = {"unstructured": None, "input-channels": "input", "output-channels": "output"}[method]
    masks = find_masks(model, "l1", sparsity=ratio, scope="layer", structured=structured)  # type: ignore[arg-type]
    masks.finalize(model)
    return masks


def _tested(settings: Settings, test: Path) -> LabeledImages:
    """The same images for every cell: their seed is the data's, not the network's."""
    return drawn_at_random(binary(load_images(test)), settings.maskcnn.test_images, seed=0)
