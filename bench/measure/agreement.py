"""Whether engines computed the same, asked before anyone's time is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.engines import Precision
from converters.verify import relative_error
from sparsenet.errors import SparsenetError
from sparsenet.graph import FloatArray

#: Largest difference ÷ largest value: of a whole network's outputs, and of one kernel's.
TOLERANCE, KERNEL_TOLERANCE = 1e-3, 1e-4
#: Norm of the difference ÷ norm of what float32 answers, over all images: what rounding may do to a network that no
#: training has made robust (0.25 was seen, in three quantizers alike). Answers that have nothing to do with each other
#: are about √2 apart.
ROUNDED_TOLERANCE: dict[Precision, float] = {"bf16": 0.05, "int8": 0.4}


def check_outputs(outputs: Mapping[str, Sequence[FloatArray]], what: str) -> dict[str, float]:
    """Largest relative difference of each engine's outputs from the first engine's.

    Args:
        outputs: engine → outputs in the order of the graph.
        what: the network and its sparsity, for messages.

    Raises:
        SparsenetError: the first engine returns NaN or infinity, or another differs by more than ``TOLERANCE``.
    """
    first, expected = next(iter(outputs.items()))
    if not all(np.isfinite(y).all() for y in expected):
        raise SparsenetError(f"{what}: '{first}' returns NaN or infinity")
    errors = {}
    for name, got in outputs.items():
        errors[name] = max(relative_error(a, b) for a, b in zip(got, expected, strict=True))
        if not errors[name] <= TOLERANCE:
            raise SparsenetError(
                f"{what}: outputs of '{name}' and '{first}' differ by {errors[name]:.2g} relative, so their times "
                "mean nothing"
            )
    return errors


@dataclass(frozen=True)
class Rounded:
    """How an engine that computes in fewer bits follows float32, over all images.

    Attributes:
        error: norm of the difference ÷ norm of what is expected, of the output for which that is largest.
        same_top: share of the images whose largest value stands at the same place of the first output.
    """

    error: float
    same_top: float


def check_rounded(
    name: str,
    precision: Precision,
    got: Sequence[Sequence[FloatArray]],
    expected: Sequence[Sequence[FloatArray]],
    what: str,
) -> Rounded:
    """Hold an engine that computes in fewer bits against float32.

    Args:
        name, precision: of the engine.
        got, expected: for each batch the outputs in the order of the graph, the images along their first axis.
        what: the network and its sparsity, for messages.

    Raises:
        SparsenetError: an output differs by more than ``ROUNDED_TOLERANCE``, or in its shape.
    """
    if not all(np.isfinite(y).all() for answers in expected for y in answers):
        raise SparsenetError(f"{what}: float32 returns NaN or infinity")
    rounded = Rounded(_relative_norm(got, expected), _same_top(got, expected))
    if not rounded.error <= ROUNDED_TOLERANCE[precision]:
        raise SparsenetError(
            f"{what}: outputs of '{name}' differ from those of float32 by {rounded.error:.2g} of their norm, which is "
            f"more than {precision} explains ({ROUNDED_TOLERANCE[precision]}), so that its times mean nothing"
        )
    return rounded


def _relative_norm(got: Sequence[Sequence[FloatArray]], expected: Sequence[Sequence[FloatArray]]) -> float:
    worst = 0.0
    for ours, theirs in zip(zip(*got, strict=True), zip(*expected, strict=True), strict=True):
        if [a.shape for a in ours] != [b.shape for b in theirs]:
            return np.inf
        a, b = (np.concatenate([y.ravel() for y in ys]).astype(np.float64) for ys in (ours, theirs))
        norm = float(np.linalg.norm(b))
        worst = max(worst, float(np.linalg.norm(a - b)) / norm if norm else float(np.abs(a).max(initial=0)))
    return worst


def _same_top(got: Sequence[Sequence[FloatArray]], expected: Sequence[Sequence[FloatArray]]) -> float:
    tops = [[y[0].reshape(len(y[0]), -1).argmax(axis=1) for y in answers] for answers in (got, expected)]
    a, b = (np.concatenate(top) for top in tops)
    return float(np.mean(a == b)) if a.shape == b.shape else 0.0
