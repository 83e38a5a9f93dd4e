"""Time per layer, from cycles per step of the tape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsenet.plan.plan import WAIT, Decision, Plan


@dataclass(frozen=True)
class LayerProfile:
    """Time of one layer, median over the profiled runs.

    Attributes:
        layer, op, kernel: node name, op, and the registry name of its main kernel.
        ms: milliseconds, layout changes for this layer included.
        share: of the whole inference, 0..1.
        nnz, density: nonzero weights, and their share of all weights (1.0 without weights).
        gflops: 1e9 floating-point operations on nonzero weights per second (2 per multiply-add).
    """

    layer: str
    op: str
    kernel: str
    ms: float
    share: float
    nnz: int
    density: float
    gflops: float


def layer_profiles(
    plan: Plan, cycles: Sequence[npt.NDArray[np.int64]], seconds: Sequence[float]
) -> list[LayerProfile]:
    """One record per layer, in the order in which they begin; one that only other threads work on has 0 ms.

    Args:
        cycles: of everything in ``plan.timeline``, per run.
        seconds: of every run as a whole.
    """
    shares = np.stack(cycles).astype(np.float64)
    shares *= np.asarray(seconds)[:, None] / shares.sum(axis=1, keepdims=True)
    totals = dict.fromkeys((layer for layers in plan.layers for layer in layers), 0.0)
    for (layer, _), ms in zip(plan.timeline, np.median(shares, axis=0) * 1e3, strict=True):
        totals[layer] = totals.get(layer, 0.0) + float(ms)
    whole = sum(totals.values())
    choices = {decision.layer: decision for decision in plan.decisions}
    out = []
    for layer, ms in totals.items():
        without = "wait" if layer == WAIT else "copy"
        choice = choices.get(layer, Decision(layer, without, "none", "", ""))
        density = choice.nnz / choice.weights if choice.weights else 1.0
        flops = 2.0 * choice.macs * density
        gflops = flops / (ms * 1e6) if ms > 0 else 0.0
        out.append(LayerProfile(layer, choice.op, choice.kernel, ms, ms / whole, choice.nnz, density, gflops))
    return out
