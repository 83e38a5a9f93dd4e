"""Ranges and grids: 0 is always a step, outliers go where they are asked to go, zeros of weights stay zeros."""

from __future__ import annotations

import numpy as np
import pytest

from converters.quantization.histogram import Histogram
from converters.quantization.ranges import Method, grid_of, range_of
from converters.quantization.weight_scales import WeightMethod, rounded, scales_of

METHODS: tuple[Method, ...] = ("minmax", "percentile", "mse")


def _seen(*arrays: np.ndarray) -> Histogram:
    made = Histogram()
    for array in arrays:
        made.add(array.astype(np.float32))
    return made


@pytest.mark.parametrize(
    "least, most", [(0, 1), (-1, 0), (-3, 5), (0.0, 0.0), (-1e-44, 1e-44), (-3e38, 3e38), (0, 7)]
)
def test_a_grid_has_both_ends_and_zero(least: float, most: float) -> None:
    grid = grid_of(least, most)
    grid.check("x", (None, 3))
    assert grid.numbers([grid.zero_point]) == 0
    step = float(grid.scale)
    low, high = grid.numbers([0, 255]).astype(np.float64)
    assert low - step <= least <= most <= high + step
    assert step == pytest.approx((most - least) / 255) or most - least < 1e-30


@pytest.mark.parametrize("method", METHODS)
def test_zero_is_within_whatever_was_seen(method: Method) -> None:
    for numbers in (np.linspace(3, 4, 500), np.linspace(-4, -3, 500), np.zeros(5)):
        least, most = range_of(_seen(numbers), method)
        assert least <= 0 <= most
        assert least >= min(0, numbers.min())
        assert most <= max(0, numbers.max())


def test_outliers() -> None:
    numbers = np.random.default_rng(0).uniform(-1, 1, 300_000).astype(np.float32)
    numbers[:2] = -1.8, 1.6
    seen, errors = _seen(numbers), {}
    for method in METHODS:
        grid = grid_of(*range_of(seen, method))
        errors[method] = np.square(grid.numbers(grid.round(numbers)) - numbers).mean()
    assert range_of(seen, "minmax") == pytest.approx((-1.8, 1.6))
    assert range_of(seen, "percentile") == pytest.approx((-1, 1), abs=1e-3)
    assert errors["mse"] < 0.6 * errors["minmax"]
    assert errors["mse"] <= 1.01 * errors["percentile"]


def test_what_an_activation_makes_small_need_not_be_told_apart() -> None:
    numbers = np.random.default_rng(3).normal(0, 3, 50_000).astype(np.float32)
    least, most = range_of(_seen(numbers), "minmax", lambda x: np.where(x > 0, x, x / 100))
    assert least > 0.3 * numbers.min()
    assert most > 0.8 * numbers.max()
    for method in METHODS:
        ends = range_of(_seen(numbers), method)
        within = range_of(_seen(numbers), method, np.abs)
        assert ends[0] <= within[0] <= 0 <= within[1] <= ends[1]


@pytest.mark.parametrize("method", ["max", "mse"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights(method: WeightMethod, per_channel: bool) -> None:
    rng = np.random.default_rng(2)
    weight = np.where(rng.random((3, 100_000)) < 0.5, rng.uniform(-1, 1, (3, 100_000)), 0).astype(np.float32)
    weight[:, 0] = 1.2
    weight[1] *= 1e-3
    weight[2] = 0
    grid, on_grid = rounded(weight, scales_of(weight, method, per_channel), per_channel)
    grid.check("w", weight.shape)
    assert grid.axis == (0 if per_channel else None)
    assert (on_grid[weight == 0] == 0).all()
    assert np.abs(grid.round(on_grid)).max() == 127
    exact = rounded(weight, scales_of(weight, "max", per_channel), per_channel)[1]
    assert np.square(on_grid - weight).sum() <= np.square(exact - weight).sum()
    if method == "mse":
        assert np.square(on_grid - weight).sum() < 0.95 * np.square(exact - weight).sum()
