from __future__ import annotations

import gc

import numpy as np
import pytest

from sparsenet.timing import interleaved, paired_ratio, spread


def test_every_round_calls_each_once_and_the_first_rotates() -> None:
    order: list[str] = []
    samples = interleaved({n: lambda n=n: order.append(n) for n in "abc"}, rounds=4, warmup=1)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab" + "abc"
    assert all(s.shape == (4,) and s.dtype == np.float64 and (s > 0).all() for s in samples.values())


def test_drift_cancels_in_the_paired_ratio_but_not_in_the_ratio_of_medians() -> None:
    drift = np.array([1.0, 1.0, 1.0, 5.0, 9.0])
    ratio = paired_ratio(3 * drift, 2 * drift)
    assert ratio.median == pytest.approx(1.5)
    assert ratio.iqr == pytest.approx((1.5, 1.5))


def test_ratio_is_the_median_of_ratios_with_its_quartiles() -> None:
    ratio = paired_ratio([2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 1.0, 1.0, 1.0, 1.0])
    assert ratio == (4.0, (3.0, 5.0))


def test_spread_keeps_the_unit() -> None:
    assert spread([10.0, 20.0, 30.0]) == (20.0, (15.0, 25.0))


def test_a_slower_call_takes_longer() -> None:
    small, large = np.ones(10), np.ones(2_000_000)
    samples = interleaved({"small": small.sum, "large": large.sum}, rounds=15)
    assert paired_ratio(samples["large"], samples["small"]).median > 3


def test_garbage_collection_is_back_on_even_after_an_error() -> None:
    calls = iter([None])
    with pytest.raises(StopIteration):
        interleaved({"fails": lambda: next(calls)}, rounds=3, warmup=1)
    assert gc.isenabled()


@pytest.mark.parametrize(
    "a, b, reason",
    [
        ([1.0], [1.0, 2.0], "equal length"),
        ([], [], "equal length"),
        ([0.0], [1.0], "positive"),
        ([float("nan")], [1.0], "positive"),
    ],
)
def test_samples_that_are_no_pairs_are_refused(a: list[float], b: list[float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        paired_ratio(a, b)


def test_empty_or_senseless_measurements_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to time"):
        interleaved({})
    with pytest.raises(ValueError, match="rounds"):
        interleaved({"a": lambda: None}, rounds=0)
