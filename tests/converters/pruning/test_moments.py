"""Sums in float32 give the moments that float64 has, of features around a large mean, too."""

from __future__ import annotations

import numpy as np
import pytest

from converters.pruning.columns import Columns
from converters.pruning.moments import Sums


@pytest.mark.parametrize("mean", [0.0, 3000.0])
def test_moments_are_those_of_float64(mean: float) -> None:
    random = np.random.default_rng(0)
    weight = random.standard_normal((3, 6)).astype(np.float32)
    columns = Columns((3, 6, 1, 1))
    parts = [(mean + random.standard_normal((2, 20, 6)).cumsum(axis=2)).astype(np.float32) for _ in range(3)]
    sums = Sums(columns, columns.rows(weight))
    for pruned, dense in parts:
        sums.add(pruned, dense)
    (got,) = sums.moments()
    pruned, dense = np.concatenate(parts, axis=1).astype(np.float64)
    made = dense @ weight.astype(np.float64).T
    both = np.cov(np.concatenate([pruned, made], axis=1).T, bias=True)
    np.testing.assert_allclose(got.covariance, both[:6, :6], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(got.cross, both[6:, :6], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(got.variance, np.diag(both)[6:], rtol=1e-4)
    np.testing.assert_allclose(got.means, pruned.mean(axis=0), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(got.made, made.mean(axis=0), rtol=1e-6, atol=1e-5)
