"""Options and steps of commands that find masks: which criterion, and which images it looks at."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsenet.commands.options import FiniteRange
from training.cli.options import BLOCK
from training.data.augment import balanced_weights
from training.data.images import LabeledImages, resize, to_float
from training.pruning import SCORERS, Masks, find_masks, shuffle

# What decides the masks, in the words of ``find_masks``; a mask file decides all of it.
CRITERIA = ("method", "scope", "structured", "block", "include", "exclude", "min_density", "on_empty", "seed")
# … and what only masks found at once know of: no schedule raises these.
ONLY_AT_ONCE = ("keep", "whole", "rounds", "shuffle", "mode", "score_temperature", "score_images")


def scoring_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--method, --sparsity or --keep, the scope and its layers, and the images that are looked at."""
    options = [
        click.option("--method", type=click.Choice(sorted(SCORERS)), default="l1", show_default=True),
        click.option("--sparsity", type=FiniteRange(0, 1), default=0.8, show_default=True,
                     help="Fraction of zeros to reach."),
        click.option("--keep", type=click.IntRange(0), help="Number of weights to keep, instead of --sparsity."),
        click.option("--scope", type=click.Choice(["layer", "global"]),
                     help="The same share of every layer, or the least important weights wherever they are.  "
                     "[default: the method's own, layer for l1 and random, else global]"),
        click.option("--structured", type=click.Choice(["output", "input"]),
                     help="Prune whole channels.  [default: single weights]"),
        BLOCK,
        click.option("--include", metavar="PATTERN", multiple=True,
                     help="Layers to prune, e.g. 'blocks.*'.  [default: all]"),
        click.option("--exclude", metavar="PATTERN", multiple=True, help="Layers to leave out, e.g. head."),
        click.option("--whole", metavar="PATTERN", multiple=True,
                     help="Layers that lose nothing but count in the budget, at the others' cost."),
        click.option("--rounds", type=click.IntRange(1),
                     help="Steps to prune in, each scored anew; many make masks that a single weight changes "
                     "everywhere.  [default: the method's own, 1 or 100]"),
        click.option("--shuffle", is_flag=True,
                     help="Control: move what is kept to random places within each layer, blocks as a whole."),
        click.option("--min-density", type=FiniteRange(0, 1), default=0.0, show_default=True,
                     help="Share of its weights that every layer keeps; at least one."),
        click.option("--on-empty", type=click.Choice(["keep", "raise", "allow"]), default="keep", show_default=True,
                     help="What to do where a layer would keep less."),
        click.option("--score-images", type=click.IntRange(1), default=128, show_default=True,
                     help="Training images that snip, force and grasp look at, --batch-size at a time."),
        click.option("--mode", type=click.Choice(["train", "eval"]),
                     help="Whether they see BatchNorm with the statistics of those batches or the stored ones.  "
                     "[default: eval; of an untrained network what the method's authors do, train for grasp]"),
        click.option("--score-temperature", type=FiniteRange(0, min_open=True),
                     help="Divide the logits by this before the loss they look at.  [default: 200 for grasp, else 1]"),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def needs_images(options: dict[str, Any]) -> bool:
    """Whether the method looks at training images."""
    return SCORERS[options["method"]].needs_data


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
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="nothing is left of")  # told in the report
        masks = find_masks(
            model,
            sparsity=None if options["keep"] is not None else options["sparsity"],
            keep=options["keep"],
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
