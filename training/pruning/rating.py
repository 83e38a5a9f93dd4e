"""What a scorer is asked, and ``score_weights``: its answer as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import get_args

import torch
from torch import Tensor, nn

from sparsenet.checks import one_of, real_number, shown, whole_number
from sparsenet.errors import MaskError
from training.pruning.problem import Batches, Loss, Problem, checked_batches, undisturbed
from training.pruning.prunable import PrunableWeight, prunable_weights, with_plain_weights
from training.pruning.scores import Mode, Scorer, get_scorer


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
    problem = problem_of(model, scorer, weights, batches, loss, seed, input_shape, temperature)
    with undisturbed(model, mode_of(scorer, mode), seed):
        return scorer.score(problem)


def problem_of(
    model: nn.Module,
    scorer: Scorer,
    weights: Mapping[str, PrunableWeight],
    batches: Batches | None,
    loss: Loss | None,
    seed: int,
    input_shape: Sequence[int] | None,
    temperature: float | None,
) -> Problem:
    """What ``scorer`` is asked about ``model``; MaskError for wrong arguments of ``score_weights``."""
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


def mode_of(scorer: Scorer, mode: Mode | None) -> Mode:
    """The mode that is asked for, else the scorer's own."""
    if mode is not None:
        one_of(mode, "mode", get_args(Mode), MaskError)
    return mode or scorer.mode or "current"
