"""``find_masks``: score the weights, select within the budget, return the masks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, get_args

import torch
from torch import Tensor, nn
from tqdm import tqdm

from sparsenet.checks import flag, one_of, real_number, shown, whole_number
from sparsenet.errors import MaskError
from sparsenet.text.one_line import warn
from training.pruning.affine import affine_masks
from training.pruning.block_shape import Block
from training.pruning.budget import Budget
from training.pruning.masks import Masks
from training.pruning.problem import Batches, Loss, Problem, checked_batches, undisturbed
from training.pruning.prunable import PrunableWeight, matching, prunable_weights, with_plain_weights
from training.pruning.scopes import Scope, chooser
from training.pruning.scores import Mode, Scorer, get_scorer
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
) -> Masks:
    """Masks of the weights worth keeping; the model is not changed (see ``Masks.apply``).

    method      a registered scorer: "l1", "random", "snip", "iterative-snip", "force", "grasp", "synflow".
    sparsity    fraction of zeros over the chosen layers (of channels, for structured pruning within a layer);
                or keep: the number of weights that stay. Exactly one of the two.
    scope       "layer": the same share in every layer; "global": the best weights wherever they are; "erk": more of
                small layers, as their shapes tell (see ``erk``); None: the method's own.
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
    progress    show a bar of the rounds, on terminals only.

    ``Masks.info`` records all of it, the batches by samples and hash, the layers that the guard rescued, and those
    left empty where that is allowed, of which a warning tells as well. Raises MaskError.
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
    if scope == "erk" and structured is not None:
        raise MaskError(f"scope 'erk' tells densities of weights; structured='{structured}' prunes channels")
    rounds = scorer.rounds if rounds is None else rounds
    rounds = whole_number(rounds, "rounds", error=MaskError)
    chosen, weights = _chosen(model, include, exclude, whole)
    model = with_plain_weights(model)
    budget = Budget(sparsity, keep)
    may_stay = {name: _allowed(weight, within) for name, weight in chosen.items()}
    total, ranked = _count(chosen), _count(weights)
    if len(weights) < len(chosen):
        spared = sum(int(may_stay[name].sum()) for name in chosen.keys() - weights.keys())
        budget = _budget_of_rest(budget, total, spared)
    problem = _problem(model, scorer, weights, batches, loss, seed, input_shape, temperature)
    units = Units(model, weights, structured, block)
    shapes = {name: weight.tensor.shape for name, weight in weights.items()}
    allowed = kept = may_stay
    mode = _mode(scorer, mode)
    with undisturbed(model, mode, seed):
        hidden = None if progress and rounds > 1 else True
        for number in tqdm(range(1, rounds + 1), desc=method, unit="round", leave=False, disable=hidden):
            scores = scorer.score(problem.pruned_to(kept))
            if not scorer.revives:
                allowed = kept
            choose = chooser(scope, _part(budget, ranked, number / rounds), shapes)
            rated = units.scores(scores, allowed, scorer)
            selection = select(rated, units.sizes(), choose, min_density, on_empty)
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
        "total": total,
        "kept": sum(int(mask.sum()) for mask in tensors.values()),
        "scope": scope,
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


def score_weights(
    model: nn.Module,
    method: str,
    batches: Batches | None = None,
    loss: Loss | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    seed: int = 0,
    mode: Mode | None = None,
    temperature: float | None = None,
    input_shape: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    """The scores behind ``find_masks``: parameter name → tensor of its shape, higher = keep. The model is not changed.

    batches     (x, y) pairs with samples along dim 0, and loss(model(x), y), the mean over the samples: for scorers
                that look at gradients. What counts is the mean over all samples of all batches, so it does not matter
                how they were split, as long as the model treats samples one by one; BatchNorm in training mode
                normalises by the batch, and then each batch is one question of its own.
    mode        run the model in "train" or "eval" mode for that, or leave every module in its "current" one; None: as
                the method's authors do in their code: SNIP and its relatives and SynFlow evaluate, GraSP trains. For
                networks with BatchNorm the two modes give quite different masks. Dropout is off.
    temperature divides what the model answers before the loss; None: the method's own, 200 for "grasp", else 1.
    input_shape of one sample, for "synflow"; None: that of the first batch.

    Raises:
        MaskError: no such method or layers, or the method needs what is not given.
    """
    weights = prunable_weights(model, include, exclude)
    model = with_plain_weights(model)
    scorer = get_scorer(method)
    problem = _problem(model, scorer, weights, batches, loss, seed, input_shape, temperature)
    with undisturbed(model, _mode(scorer, mode), seed):
        return scorer.score(problem)


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


def _problem(
    model: nn.Module,
    scorer: Scorer,
    weights: Mapping[str, PrunableWeight],
    batches: Batches | None,
    loss: Loss | None,
    seed: int,
    input_shape: Sequence[int] | None,
    temperature: float | None,
) -> Problem:
    samples = checked_batches(batches)
    if loss is not None and not callable(loss):
        raise MaskError(f"loss must be a function of what the model answers and y, got {shown(loss)}")
    if scorer.needs_data and (loss is None or sum(len(x) for x, _ in samples) == 0):
        raise MaskError(
            f"method '{scorer.name}' looks at gradients: give batches=[(x, y), ...] and loss=f(model(x), y)"
        )
    temperature = scorer.temperature if temperature is None else temperature
    temperature = real_number(temperature, "temperature", above=True, error=MaskError)
    seed = whole_number(seed, "seed", 2**64 - 1, -(2**63), MaskError)
    if input_shape is not None and not (
        isinstance(input_shape, Sequence) and all(isinstance(n, Integral) and n > 0 for n in input_shape)
    ):
        raise MaskError(
            f"input_shape must be the sizes of one sample, as in (3, 224, 224), got {input_shape!r:.60}"
        )
    if input_shape is None and samples:
        input_shape = samples[0][0].shape[1:]
    return Problem(
        model,
        {name: weight.tensor.detach() for name, weight in weights.items()},
        {name: weight.tensor.detach() for name, weight in weights.items()},
        samples,
        loss,
        temperature,
        torch.Generator().manual_seed(seed),
        None if input_shape is None else tuple(input_shape),
    )


def _mode(scorer: Scorer, mode: Mode | None) -> Mode:
    if mode is not None:
        one_of(mode, "mode", get_args(Mode), MaskError)
    return mode or scorer.mode or "current"


def _budget_of_rest(budget: Budget, total: int, whole: int) -> Budget:
    keep = budget.weights_of(total) - whole
    if keep < 0:
        raise MaskError(
            f"the layers to be kept whole have {whole:,} weights, the budget is {keep + whole:,} of {total:,}"
        )
    return Budget(keep=keep)


def _part(budget: Budget, total: int, progress: float) -> Budget:
    """The budget after this share of the rounds: density^progress, exact at the end."""
    if progress == 1:
        return budget
    # An empty network in the end is still approached by ratios.
    density = max(budget.weights_of(total), 1) / total
    if budget.sparsity is not None:
        return Budget(sparsity=1 - density**progress)
    return Budget(keep=round(total * density**progress))


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
