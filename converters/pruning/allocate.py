"""Which sparsity each layer gets, so that the network costs no more than a budget and errs as little as possible."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sparsenet.errors import InputError

#: Parts of the budget that are told apart.
BUCKETS = 10_000


def allocate(costs: ArrayLike, errors: ArrayLike, budget: float, buckets: int = BUCKETS) -> list[int]:
    """Choose one option for each layer so that the sum of errors is the least whose costs are within the budget.

    Dynamic programming over the cost of the first layers, rounded up to a bucket, as Frantar and Alistarh (SPDY, 2022)
    do: the choice is the best one but for that rounding, and never over the budget.

    Args:
        costs: (layers, options), what each option costs; infinite if it is none.
        errors: (layers, options).
        budget: the most that all may cost together.
        buckets: how many parts of the budget are told apart.

    Returns:
        The number of each layer's option.

    Raises:
        InputError: even the cheapest options cost more.
    """
    prices, losses = np.asarray(costs, np.float64), np.asarray(errors, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rounded = np.ceil(np.nan_to_num(prices * buckets / budget, nan=0.0, posinf=np.inf) - 1e-9)
    best = np.zeros(buckets + 1)  # by what may be spent, the least error of the layers so far
    chosen: list[np.ndarray] = []
    for price, loss in zip(rounded, losses, strict=True):
        options = np.full((len(price), buckets + 1), np.inf)
        for option, spent in enumerate(price):
            if spent <= buckets:
                options[option, int(spent) :] = best[: buckets + 1 - int(spent)] + loss[option]
        chosen.append(options.argmin(axis=0))
        best = options.min(axis=0)
    if not np.isfinite(best[-1]):
        least = prices.min(axis=1).sum()
        raise InputError(f"the budget is {budget:.4g}, and the least that the layers can cost is {least:.4g}")
    left, result = buckets, []
    for choice, price in zip(reversed(chosen), rounded[::-1], strict=True):
        result.append(int(choice[left]))
        left -= int(price[result[-1]])
    return result[::-1]
