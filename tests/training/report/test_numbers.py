"""Numbers as the report writes them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from training.report.model import Speedup
from training.report.numbers import number, percent, points, ratio, scientific


@pytest.mark.parametrize(
    "share, digits, text", [(0.97312, 1, "97.3"), (1.0, 0, "100"), (0.0, 2, "0.00"), (None, 1, "–")]
)
def test_percent(share: float | None, digits: int, text: str) -> None:
    assert percent(share, digits) == text


def test_thousands_are_parted_by_a_narrow_space_that_does_not_break() -> None:
    assert number(1234567) == "1,234,567"
    assert number(None) == "–"


@pytest.mark.parametrize(
    "value, text", [(5.3e-7, "5.3·10⁻⁷"), (0.0, "0"), (1.0, "1.0·10⁰"), (2.04e-12, "2.0·10⁻¹²")]
)
def test_scientific(value: float, text: str) -> None:
    assert scientific(value) == text


@pytest.mark.parametrize("share, text", [(0.0123, "1.2 points"), (-0.01, "1.0 point"), (0.5, "50.0 points")])
def test_points(share: float, text: str) -> None:
    assert points(share) == text


def test_ratio_shows_median_and_interval_or_says_that_it_cannot_tell() -> None:
    noisy = Speedup("s", "dense", "sparse", 2.314, 1.2, 4.0, noisy=True)
    assert ratio(noisy) == "too noisy to tell"
    assert ratio(replace(noisy, at_least=1.89)) == "at least 1.8×"
    assert ratio(Speedup("s", "dense", "sparse", 2.314, 2.28, 2.361)) == "2.31× (2.28–2.36)"
    assert ratio(None) == "–"
