"""Other ways to spread zeros, each tried: what layers do to the outputs together is not the sum of what each does.

A coefficient for each layer says how much more it counts than what it does alone. Some are drawn at random, then others
near the best, ever nearer; each gives an allocation of the same cost, which is carried out and judged (the local search
of Frantar and Alistarh, SPDY, 2022, section 3.2, which judges without reconstructing towards the dense network).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from converters.pruning.moments import Float64Array
from converters.pruning.timetable import Choice

#: Share of the tries whose coefficients are drawn anew, and standard deviations of their logarithms: of those, and of
#: the first and the last step from the best.
_ANEW, _FAR, _FIRST, _LAST = 0.4, 1.0, 0.7, 0.2
#: Share of the layers that a step changes; how often a step is drawn that leads to a choice judged before, and by how
#: much each is wider than the last.
_CHANGED, _DRAWS, _WIDER = 0.5, 8, 1.2


def searched(
    errors: Float64Array,
    choose: Callable[[Float64Array], Choice],
    judge: Callable[[int, Choice], float],
    tries: int,
) -> Choice:
    """The best of ``tries`` choices and the one that ``errors`` ask for.

    Args:
        errors: of each layer alone at each level, (layers, levels).
        choose: a choice that errs least by some errors.
        judge: given the number of a try, from 0, and a choice not judged before: how bad it is.
        tries: how many.
    """
    rng, anew = np.random.default_rng(0), round(_ANEW * tries)
    at = np.zeros(len(errors))
    best = choose(errors)
    judged = {tuple(best.sparsities.values()): judge(0, best)}
    least = min(judged.values())
    for number in range(1, tries + 1):
        done = (number - anew - 1) / max(1, tries - anew - 1)
        width = _FIRST * (_LAST / _FIRST) ** done
        for _ in range(_DRAWS):
            drawn = rng.standard_normal(len(errors))
            if number <= anew:
                tried = _FAR * drawn
            else:
                tried = at + width * drawn * (rng.random(len(errors)) < _CHANGED)
                width *= _WIDER
            choice = choose(errors * np.exp(tried)[:, None])
            key = tuple(choice.sparsities.values())
            if key not in judged:
                judged[key] = judge(number, choice)
                if judged[key] < least:
                    at, best, least = tried, choice, judged[key]
                break
    return best
