"""Options of commands that find masks: which criterion, and which images it looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from sparsenet.commands.options import FiniteRange
from training.cli.options import BLOCK
from training.pruning.drop_schedule import SPARSE_TRAINING
from training.pruning.scores import SCORERS

#: How fast the network is to be.
DEADLINE = ("latency", "speedup", "int8")
# What decides the masks, in the words of ``find_masks``; a mask file decides all of it.
CRITERIA = ("method", "scope", "structured", "block", "include", "exclude", "min_density", "on_empty", "seed")
# … and what only masks found at once know of: no schedule raises these.
ONLY_AT_ONCE = ("keep", "whole", "rounds", "shuffle", "mode", "score_temperature", "score_images", *DEADLINE)


def scoring_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--method, --sparsity or --keep, the scope and its layers, and the images that are looked at."""
    options = [
        click.option("--method", type=click.Choice(sorted([*SCORERS, *SPARSE_TRAINING])), default="l1",
                     show_default=True),
        click.option("--sparsity", type=FiniteRange(0, 1), default=0.8, show_default=True,
                     help="Fraction of zeros to reach."),
        click.option("--keep", type=click.IntRange(0), help="Number of weights to keep, instead of --sparsity."),
        click.option("--scope", type=click.Choice(["layer", "global", "erk", "latency"]),
                     help="The same share of every layer, the least important weights wherever they are, with small "
                     "layers spared, as their shapes tell (Erdős-Rényi-Kernel), or what is fast enough and loses "
                     "least (latency: with --speedup or --latency).  "
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
