"""``find_masks``: score the weights, select within the budget, return the masks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn
from tqdm import tqdm

from converters.pruning.timetable import LayerMs
from sparsenet.checks import flag, one_of, shown, whole_number
from sparsenet.errors import MaskError
from sparsenet.text.one_line import warn
from training.pruning.affine import affine_masks
from training.pruning.block_shape import Block
from training.pruning.budget import Budget
from training.pruning.deadline import Deadline, exported
from training.pruning.latency import ByLatency
from training.pruning.masks import Masks
from training.pruning.problem import Batches, Loss, undisturbed
from training.pruning.prunable import PrunableWeight, matching, prunable_weights, with_plain_weights
from training.pruning.rating import mode_of, problem_of
from training.pruning.scopes import ByWeights, Scope, WeightScope
from training.pruning.scores import Mode, get_scorer
from training.pruning.select import OnEmpty, select
from training.pruning.units import Structured, Units


def find_masks(
    model: nn.Module,
    method: str = "l1",
    sparsity: float | None = None,
    keep: int | None = None,
    scope: Scope | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    batches: Batches | None = None,
    loss: Loss | None = None,
    seed: int = 0,
    min_density: float = 0.0,
    on_empty: OnEmpty = "keep",
    structured: Structured | None = None,
    block: Block | None = None,
    within: Masks | None = None,
    prune_affine: bool = True,
    whole: Sequence[str] | None = None,
    rounds: int | None = None,
    shuffle: bool = False,
    mode: Mode | None = None,
    temperature: float | None = None,
    input_shape: Sequence[int] | None = None,
    progress: bool = False,
    ms: float | None = None,
    speedup: float | None = None,
    int8: bool = False,
    layer_ms: LayerMs | None = None,
) -> Masks:
    """Masks of the weights worth keeping; the model is not changed (see ``Masks.apply``).

    method      a registered scorer: "l1", "random", "snip", "iterative-snip", "force", "grasp", "synflow".
    sparsity    fraction of zeros over the chosen layers (of channels, for structured pruning within a layer);
                or keep: the number of weights that stay. Exactly one of the two, unless milliseconds are asked for.
    scope       "layer": the same share in every layer; "global": the best weights wherever they are; "erk": more of
                small layers, as their shapes tell (see ``erk``); "latency": what loses least among all that is fast
                enough (see ``latency``), not for channels; None: the method's own.
    ms          with "latency", instead of a sparsity, the milliseconds that an inference may take, for one sample of
                ``input_shape`` on one thread; or speedup: by what those of the dense network are to be divided. With
                int8, both compute in 8-bit integers. What networks take is measured on this machine, or told by
                layer_ms, of each node of a graph (``sparsenet.latency.network.layer_ms()``: as predicted).
    include     shell patterns of layers to prune (default: every Conv2d and Linear); exclude: to leave out.
    batches, loss, mode, temperature, input_shape   what the scorer looks at, see ``score_weights``.
    min_density, on_empty   the guard against emptied layers, see ``select.select``.
    structured  None: single weights. "output": whole output channels (Li et al. 2017); "input": whole input
                channels. Named apart because paper and code of the same work can differ in it. A depthwise
                convolution has no output channels of its own: it loses those that the layer before it loses.
    block       (1, 4): four consecutive input channels of an output and a tap together, the unit of int8 kernels; the
                last block of a row is shorter, and depthwise convolutions lose single weights (see ``blocks``). The
                budget is met to less than a block. Not together with ``structured``.
    within      only weights kept by these masks may be kept; the others count as zero already.
    prune_affine  with structured="output", also mask the bias and the BatchNorm's γ and β of a pruned channel: the
                channel is then exactly 0 and can be cut out of the network (see ``affine``). Not part of the budget.
    whole       patterns of layers that lose nothing and yet count: the budget stays that of all chosen layers, and
                the others pay (modified SNIP).
    rounds      prune in so many steps, each by the same ratio and scored anew on what is left (the exponential
                schedule of de Jorge et al. 2021 and Tanaka et al. 2020); None: the method's own number. Such masks are
                chaotic: one weight more or less kept in an early round ends in thousands of other weights.
    shuffle     the control: in the end, move what is kept to random places within each layer, blocks as a whole.
    progress    show a bar of the rounds, and of what is measured, on terminals only.

    ``Masks.info`` records all of it, the batches by samples and hash, the milliseconds, the layers that the guard
    rescued, and those left empty where that is allowed, of which a warning tells as well.

    Raises:
        MaskError: an argument is wrong, or leaves nothing to prune.
        InputError: no zeros make the network as fast as asked for.
        UnsupportedOpError: it is to be timed, and cannot be converted.
    """
    if structured is not None:
        one_of(structured, "structured", ("output", "input"), MaskError)
    flags = {"prune_affine": prune_affine, "shuffle": shuffle, "progress": progress}
    for name, value in flags.items():
        flag(value, name, MaskError)
    if within is not None and not isinstance(within, Masks):
        raise MaskError(f"within must be Masks, got {shown(within)}")
    scorer = get_scorer(method)
    scope = scorer.scope if scope is None else scope
    one_of(scope, "scope", get_args(Scope), MaskError)
    if scope in ("erk", "latency") and structured is not None:
        raise MaskError(
            f"scope '{scope}' tells densities of weights; structured='{structured}' prunes channels"
        )
    rounds = scorer.rounds if rounds is None else rounds
    rounds = whole_number(rounds, "rounds", error=MaskError)
    chosen, weights = _chosen(model, include, exclude, whole)
    model = with_plain_weights(model)
    times = {"ms": ms, "speedup": speedup, "int8": int8 or None, "layer_ms": layer_ms}
    _refuse(scope, {"sparsity": sparsity, "keep": keep} if scope == "latency" else times)
    may_stay = {name: _allowed(weight, within) for name, weight in chosen.items()}
    problem = problem_of(model, scorer, weights, batches, loss, seed, input_shape, temperature)
    units = Units(model, weights, structured, block)
    spread: ByWeights | ByLatency
    if scope == "latency":
        deadline = Deadline(ms, speedup, int8, layer_ms)
        graph = exported(model, problem.input_shape, may_stay)
        spread = ByLatency(graph, weights, may_stay, units, scorer, deadline, min_density, not progress)
    else:
        spread = _by_weights(scope, Budget(sparsity, keep), chosen, weights, may_stay)
    allowed = kept = may_stay
    mode = mode_of(scorer, mode)
    with undisturbed(model, mode, seed):
        hidden = None if progress and rounds > 1 else True
        for number in tqdm(range(1, rounds + 1), desc=method, unit="round", leave=False, disable=hidden):
            scores = scorer.score(problem.pruned_to(kept))
            if not scorer.revives:
                allowed = kept
            rated = units.scores(scores, allowed, scorer)
            selection = select(rated, units.sizes(), spread.at(number / rounds), min_density, on_empty)
            kept = units.masks(selection.kept, allowed)
    if shuffle:
        kept = units.masks(units.shuffled(selection.kept, may_stay, seed), may_stay)

    tensors = {name: kept.get(name, may_stay[name]) for name in chosen}
    emptied = [name for name, mask in tensors.items() if not mask.any()]
    if emptied:
        warn(f"nothing is left of {', '.join(emptied)}", stacklevel=2)
    info = {
        "method": method,
        "seed": seed,
        "sparsity": sparsity,
        "keep": keep,
        "total": _count(chosen),
        "kept": sum(int(mask.sum()) for mask in tensors.values()),
        "scope": scope,
        "latency": spread.info() if isinstance(spread, ByLatency) else None,
        "structured": structured,
        "block": None if block is None else list(block),
        "whole": [weight.layer for name, weight in chosen.items() if name not in weights],
        "rounds": rounds,
        "mode": mode,
        "temperature": problem.temperature,
        "batches": [{"samples": len(x), "sha256": _digest(x)} for x, _ in problem.batches],
        "shuffled": shuffle,
        "min_density": min_density,
        "rescued": list(selection.rescued),
        "emptied": emptied,
    }
    affine: dict[str, Tensor] = {}
    if structured == "output" and prune_affine:
        affine = affine_masks(model, tensors, units.flow.batch_norms)
    if within is not None:
        affine |= {name: within[name] & affine.get(name, within[name]) for name in within.affine}
    return Masks(tensors | affine, info, affine=affine)


def _chosen(
    model: nn.Module,
    include: Sequence[str] | None,
    exclude: Sequence[str] | None,
    whole: Sequence[str] | None,
) -> tuple[dict[str, PrunableWeight], dict[str, PrunableWeight]]:
    """All layers in the scope, and those of them that may be pruned."""
    chosen = prunable_weights(model, include, exclude)
    spared = matching(chosen, () if whole is None else whole, "whole")
    weights = {name: weight for name, weight in chosen.items() if name not in spared}
    if not weights:
        raise MaskError("there is nothing to prune: all chosen layers are to be kept whole")
    return chosen, weights


def _refuse(scope: Scope, others: Mapping[str, object]) -> None:
    """MaskError if an argument is given that this scope has no use for."""
    if given := [name for name, value in others.items() if value is not None]:
        raise MaskError(
            f"scope '{scope}' goes without {', '.join(given)}: with 'latency' ms or speedup says how much "
            "stays, with others sparsity or keep"
        )


def _by_weights(
    scope: WeightScope,
    budget: Budget,
    chosen: Mapping[str, PrunableWeight],
    weights: Mapping[str, PrunableWeight],
    may_stay: Mapping[str, Tensor],
) -> ByWeights:
    if len(weights) < len(chosen):
        spared = sum(int(may_stay[name].sum()) for name in chosen.keys() - weights.keys())
        budget = budget.without(_count(chosen), spared)
    return ByWeights(scope, budget, {name: weight.tensor.shape for name, weight in weights.items()})


def _count(weights: Mapping[str, PrunableWeight]) -> int:
    return sum(weight.tensor.numel() for weight in weights.values())


def _allowed(weight: PrunableWeight, within: Masks | None) -> Tensor:
    if within is None or weight.name not in within:
        return torch.ones(weight.tensor.shape, dtype=torch.bool)
    if within[weight.name].shape != weight.tensor.shape:
        raise MaskError(
            f"mask of '{weight.name}' has shape {tuple(within[weight.name].shape)}, "
            f"the weight has {tuple(weight.tensor.shape)}"
        )
    return within[weight.name]


def _digest(x: Tensor) -> str:
    """Of a batch's bytes: which images were looked at can be checked later."""
    flat: Any = x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return hashlib.sha256(flat.tobytes()).hexdigest()[:16]
