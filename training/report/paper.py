"""Published figures that a run is set beside: Monish and Balapanuru, "Inference Acceleration for Face Mask
Detection", tables 1 and 3 to 5. Measured on MaskedFace-Net with 137,016 images; orientation, not competition.
"""

from __future__ import annotations

from typing import NamedTuple

CITATION = (
    "H. Monish, H. K. Balapanuru: Inference Acceleration for Face Mask Detection, University at Buffalo"
)


class Published(NamedTuple):
    """One row of tables 3 to 5; shares in [0, 1], compression as the paper counts it."""

    accuracy: float
    macro_f1: float
    weighted_f1: float
    compression: float


#: Table 1: one-shot L1 pruning of MaskCNN, sparsity → accuracy.
ACCURACY_AT_SPARSITY: dict[float, float] = {
    0.0: 0.962,
    0.1: 0.9617,
    0.2: 0.9617,
    0.3: 0.9612,
    0.4: 0.9457,
    0.5: 0.9149,
    0.6: 0.7914,
    0.7: 0.5247,
    0.8: 0.4839,
    0.85: 0.4826,
}

_TEACHER = Published(0.99, 0.99, 0.99, 1)

#: Tables 3 to 5: student → stage → row.
STAGES: dict[str, dict[str, Published]] = {
    "minixception-128": {
        "teacher": _TEACHER,
        "scratch": Published(0.88, 0.73, 0.87, 363),
        "scratch-pruned": Published(0.90, 0.68, 0.88, 1003),
        "distilled": Published(0.98, 0.93, 0.98, 363),
        "distilled-pruned": Published(0.90, 0.76, 0.92, 1004),
    },
    "minixception-128-256": {
        "teacher": _TEACHER,
        "scratch": Published(0.99, 0.99, 0.99, 141),
        "scratch-pruned": Published(0.95, 0.76, 0.93, 406),
        "distilled": Published(0.98, 0.94, 0.98, 141),
        "distilled-pruned": Published(0.99, 0.99, 0.99, 406),
    },
}


def published(student: str, stage: str) -> Published | None:
    """The paper's row for a student, with its own padding or ours, and a stage; ``None`` if it has none."""
    return STAGES.get(student.removesuffix("-keras"), {}).get(stage)
