"""How far each layer of a converted network is from its source, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from converters.conversion.in_steps import Agreement
from converters.conversion.verdict import SOURCE_OFF, WRONG, Verdict
from sparsenet.errors import SparsenetError


@dataclass(frozen=True)
class LayerError:
    """How far one layer is from the source framework.

    Attributes:
        layer, op: node name, and its op with what was fused into it.
        tensor: the tensor compared, under its source name.
        backend: "reference" (NumPy, float64) or "engine".
        max_abs: largest absolute difference.
        max_rel: ``max_abs`` over the largest magnitude in the source's tensor.
        channels: channels compared, of those the source has; fewer after channel reduction.
        allowed: the largest absolute difference that passes.
        verdict: "same"; "wrong"; or "source is off" where the source's own rounding makes the difference.
        step: of the tensor's grid, if it is compared in steps; the differences are whole numbers of it.
    """

    layer: str
    op: str
    tensor: str
    backend: str
    max_abs: float
    max_rel: float
    channels: tuple[int, int]
    allowed: float
    verdict: Verdict
    step: float | None = None

    @property
    def steps(self) -> float | None:
        """The largest difference in steps of the grid."""
        return None if self.step is None else round(self.max_abs / self.step, 6)

    @property
    def _badness(self) -> tuple[bool, bool, float]:
        ratio = self.max_abs / self.allowed if self.allowed > 0 else np.inf if self.max_abs else 0.0
        return self.verdict == WRONG, self.verdict != SOURCE_OFF, np.inf if np.isnan(ratio) else ratio


@dataclass(frozen=True)
class VerifyReport:
    """Errors of every layer, and the verdict; of a quantized network also how far its outputs are from the source's."""

    layers: list[LayerError]
    outputs: list[str]
    tolerance: float
    agreements: list[Agreement] = field(default_factory=list)

    @property
    def worst(self) -> LayerError:
        """The layer that is furthest beyond what it may differ, or nearest to it; NaN is further than anything."""
        return max(self.layers, key=lambda e: e._badness)

    @property
    def passed(self) -> bool:
        """Whether no layer is wrong on any backend."""
        return self.first_wrong is None and all(a.exact is not False for a in self.agreements)

    @property
    def first_wrong(self) -> LayerError | None:
        """The first layer that is wrong, in execution order."""
        return next((e for e in self.layers if e.verdict == WRONG), None)

    @property
    def source_off(self) -> list[str]:
        """Layers where the source framework is off, and the graph is right."""
        return list(dict.fromkeys(e.layer for e in self.layers if e.verdict == SOURCE_OFF))

    def output_error(self, backend: str) -> float:
        """Largest relative error of the graph's outputs on one backend."""
        return max(e.max_rel for e in self.layers if e.backend == backend and e.tensor in self.outputs)


class VerificationError(SparsenetError):
    """The converted network is too far from its source; ``report`` holds every layer's error."""

    def __init__(self, name: str, report: VerifyReport) -> None:
        super().__init__(f"'{name}' as converted differs from its source{_difference(report)}")
        self.report = report


def _difference(report: VerifyReport) -> str:
    """Where it is, and how large."""
    first, worst = report.first_wrong, report.worst
    if first is None:
        outputs = ", ".join(f"'{a.output}'" for a in report.agreements if a.exact is False)
        return f": the engine does not give the reference's bytes at output {outputs}"
    if first.step is not None:
        return (
            f" at layer '{first.layer}' ({first.op}), the first that does: with the source's own inputs it is "
            f"{first.steps:g} steps of its grid off on the {first.backend}, where rounding accounts for "
            f"{first.allowed / first.step:.0f}"
        )
    return (
        f" by more than {report.tolerance:g}: worst is layer '{worst.layer}' ({worst.op}) on the {worst.backend}, "
        f"relative error {worst.max_rel:.2g}, off by {worst.max_abs:.2g} where rounding accounts for "
        f"{worst.allowed:.2g}"
    )
