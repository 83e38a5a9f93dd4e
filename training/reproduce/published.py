"""The papers' figures, to set ours beside.

Paper 1: H. Monish, H. K. Balapanuru, "Inference Acceleration for Face Mask Detection", University at Buffalo. Paper 2:
A. Melnychenko, O. Shaldenko, "Evaluation of a SNIP Pruning Method for a State-of-the-art Face Detection Model",
Computational Problems of Electrical Engineering 13(1), 2023. Tables 3 to 5 stand in ``training.report.paper``.
"""

from __future__ import annotations

from typing import NamedTuple


class Pruned(NamedTuple):
    """A row of paper 1's tables 1 and 2; accuracy in [0, 1]."""

    loss: float
    accuracy: float


#: Table 1, L1 unstructured: ratio → row.
UNSTRUCTURED: dict[float, Pruned] = {
    0.0: Pruned(0.105, 0.962),
    0.1: Pruned(0.102, 0.9617),
    0.2: Pruned(0.102, 0.9617),
    0.3: Pruned(0.106, 0.9612),
    0.4: Pruned(0.136, 0.9457),
    0.5: Pruned(0.185, 0.9149),
    0.6: Pruned(0.506, 0.7914),
    0.7: Pruned(1.075, 0.5247),
    0.8: Pruned(1.407, 0.4839),
    0.85: Pruned(1.405, 0.4826),
}

#: Table 2, L1 structured: ratio → row.
STRUCTURED: dict[float, Pruned] = {
    0.0: Pruned(0.105, 0.961),
    0.1: Pruned(0.104, 0.9617),
    0.2: Pruned(2.240, 0.4896),
    0.3: Pruned(2.18, 0.4896),
    0.4: Pruned(2.01, 0.4895),
    0.5: Pruned(3.03, 0.4826),
    0.6: Pruned(2.91, 0.4826),
    0.7: Pruned(2.07, 0.4826),
    0.8: Pruned(1.73, 0.5001),
    0.85: Pruned(1.89, 0.5001),
}


class Detection(NamedTuple):
    """A row of paper 2's table 2: WIDERFACE AP in [0, 1], and what the paper calls trainable parameters."""

    easy: float
    medium: float
    hard: float
    parameters: int


#: Paper 2, table 2.
DETECTION: dict[str, Detection] = {
    "unpruned": Detection(0.935, 0.916, 0.759, 3_756_032),
    "snip": Detection(0.935, 0.910, 0.745, 1_187_762),
    "modified-snip": Detection(0.935, 0.910, 0.752, 1_187_762),
}
