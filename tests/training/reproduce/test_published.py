"""The papers' figures, checked where two sources hold the same."""

from __future__ import annotations

import pytest

from training.report.paper import ACCURACY_AT_SPARSITY
from training.reproduce.published import DETECTION, STRUCTURED, UNSTRUCTURED
from training.reproduce.settings import RATIOS


def test_both_tables_have_the_papers_ratios() -> None:
    assert tuple(UNSTRUCTURED) == tuple(STRUCTURED) == RATIOS
    assert {ratio: row.accuracy for ratio, row in UNSTRUCTURED.items()} == ACCURACY_AT_SPARSITY


def test_the_pruned_detectors_have_the_compression_ratio_of_the_paper() -> None:
    for variant in ("snip", "modified-snip"):
        ratio = DETECTION["unpruned"].parameters / DETECTION[variant].parameters
        assert ratio == pytest.approx(10**0.5, rel=1e-6)
