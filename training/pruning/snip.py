"""SNIP and its iterated forms: how much would the loss notice if a connection were cut?"""

from __future__ import annotations

from torch import Tensor

from sparsenet.errors import MaskError
from training.pruning.problem import Problem
from training.pruning.scores import Scorer, register


@register
class Snip(Scorer):
    """Connection sensitivity: s_j = |∂L/∂c_j| / Σ_k |∂L/∂c_k| with gates c on the weights, at c = 1.

    As the gate multiplies its weight, ∂L/∂c_j = w_j · ∂L/∂w_j. The scores add up to 1 over all weights rated. With
    several batches L is the mean loss over all their samples.
    """

    name = "snip"
    citation = (
        "Lee, Ajanthan and Torr 2019, SNIP: Single-shot Network Pruning based on Connection Sensitivity, "
        "section 4.1; with rounds: de Jorge et al. 2021, Progressive Skeletonization, section 4"
    )
    needs_data = True
    foresight = True
    scope = "global"
    mode = "eval"

    def score(self, problem: Problem) -> dict[str, Tensor]:
        """Normalised |w · ∂L/∂w|, float64 (4 million float32 terms would not add up to 1)."""
        gradients = problem.gradients(problem.leaves())
        return normalised({name: (g * problem.weights[name]).abs() for name, g in gradients.items()})


@register
class IterativeSnip(Snip):
    """SNIP in many small rounds, each on the network that the rounds before have left."""

    name = "iterative-snip"
    citation = (
        "de Jorge et al. 2021, Progressive Skeletonization: Trimming more fat from a network at "
        "initialization, section 4, Iterative SNIP"
    )
    rounds = 100


@register
class Force(IterativeSnip):
    """Iterative SNIP that may take back what it has pruned: pruned weights are rated by their old value."""

    name = "force"
    citation = (
        "de Jorge et al. 2021, Progressive Skeletonization: Trimming more fat from a network at "
        "initialization, section 4, FORCE"
    )
    revives = True

    def score(self, problem: Problem) -> dict[str, Tensor]:
        """Normalised |w · ∂L/∂(w c)|: for a pruned weight w is what it was before."""
        gradients = problem.gradients(problem.leaves())
        return normalised({name: (g * problem.dense[name]).abs() for name, g in gradients.items()})


def normalised(scores: dict[str, Tensor]) -> dict[str, Tensor]:
    """Divided by their sum over all layers; MaskError if every one is zero."""
    doubles = {name: score.double() for name, score in scores.items()}
    total = sum(float(score.sum()) for score in doubles.values())
    if total == 0:
        raise MaskError("every gradient is zero: the loss does not notice any of the weights")
    return {name: score / total for name, score in doubles.items()}
