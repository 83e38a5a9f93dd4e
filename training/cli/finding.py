"""Finding masks as the options of ``scoring`` say."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.cli.scoring import CRITERIA, needs_images
from training.data.augment import balanced_weights
from training.data.images import LabeledImages, resize, to_float
from training.pruning import Masks, find_masks, shuffle


def masks_at_once(
    model: nn.Module, size: int, data: LabeledImages | None, trained: bool, options: dict[str, Any]
) -> Masks:
    """The masks of the options; ``data`` are the training images, for methods that look at them."""
    chosen: list[int] = []
    batches: list[tuple[Tensor, Tensor]] = []
    if needs_images(options):
        assert data is not None
        chosen = _draw(data, options["score_images"], options)
        batches = _batches(data, chosen, size, options)
    by_latency = options["scope"] == "latency"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="nothing is left of")  # told in the report
        masks = find_masks(
            model,
            sparsity=None if by_latency or options["keep"] is not None else options["sparsity"],
            keep=options["keep"],
            ms=options["latency"],
            speedup=options["speedup"],
            int8=options["int8"],
            whole=options["whole"],
            rounds=options["rounds"],
            shuffle=options["shuffle"],
            batches=batches,
            loss=F.cross_entropy,
            mode=options["mode"] or ("eval" if trained else None),
            temperature=options["score_temperature"],
            input_shape=(3, size, size),
            progress=not options["quiet"],
            **{name: options[name] for name in CRITERIA},
        )
    masks.info["images"] = [data.files[index] for index in chosen] if data is not None else []
    return masks


def drawn_batches(
    data: LabeledImages, count: int, size: int, options: dict[str, Any]
) -> list[tuple[Tensor, Tensor]]:
    """Batches (images, labels) of ``count`` different images, classes as often as in training."""
    return _batches(data, _draw(data, count, options), size, options)


def given_masks(options: dict[str, Any]) -> Masks | None:
    """The masks of --apply-masks, shuffled if that is asked for."""
    if options["apply_masks"] is None:
        return None
    masks = Masks.load(options["apply_masks"])
    return shuffle(masks, options["seed"]) if options["shuffle"] else masks


def _draw(data: LabeledImages, count: int, options: dict[str, Any]) -> list[int]:
    """Numbers of different images, classes as often as in training; all of them if there are no more."""
    weights = balanced_weights(data.labels, options["balance"])
    generator = torch.Generator().manual_seed(options["seed"])
    return torch.multinomial(weights, min(count, len(data)), replacement=False, generator=generator).tolist()


def _batches(
    data: LabeledImages, chosen: list[int], size: int, options: dict[str, Any]
) -> list[tuple[Tensor, Tensor]]:
    parts = torch.tensor(chosen).split(options["batch_size"])
    return [(resize(to_float(data.images[part]), size), data.labels[part]) for part in parts]
