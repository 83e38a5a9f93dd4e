"""Sessions timed side by side: each round runs every one of them once, in an order drawn anew."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping

import numpy as np

from bench.engines import Session
from sparsenet.timing import Samples


def rounds_for(sessions: Mapping[str, Session], seconds: float, fewest: int = 5, most: int = 400) -> int:
    """How many rounds take about ``seconds``."""
    one_round = sum(2 * min(session.seconds(2)) for session in sessions.values())
    return int(np.clip(seconds / one_round, fewest, most))


def shuffled_rounds(
    sessions: Mapping[str, Session],
    rounds: int,
    *,
    settle: float = 0.005,
    seed: int = 0,
    progress: Callable[[int], object] = lambda _: None,
) -> dict[str, Samples]:
    """Seconds of every session's inferences, round by round.

    A turn is two inferences of which the second counts: the first brings back what the other engines have driven out
    of the caches, as in a process that runs one engine all day.

    Args:
        sessions: name → session that was called once with its input.
        rounds: how many samples of each.
        settle: seconds to wait before each turn, for other engines' threads to come to rest.
        seed: of the order.
        progress: called with 1 after every round.

    Returns:
        name → float64 array (rounds,); equal indices were measured side by side.
    """
    rng = np.random.default_rng(seed)
    names = list(sessions)
    samples = {name: np.empty(rounds) for name in names}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for i in range(rounds):
            for name in rng.permutation(names):
                time.sleep(settle)
                samples[name][i] = sessions[name].seconds(2)[1]
            progress(1)
    finally:
        if collecting:
            gc.enable()
    return samples
