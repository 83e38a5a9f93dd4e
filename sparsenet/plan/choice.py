"""Choosing among the ways to run a layer: by measurement, or by the density from which each is known to pay."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sparsenet.plan.builder import Builder
from sparsenet.plan.candidate import Candidate
from sparsenet.plan.lowering.weights import zeros_in_words

#: A sparse kernel must take less than this share of the dense one's time.
NARROW = 0.97


def choose(
    builder: Builder,
    candidates: Sequence[Candidate],
    density: float,
    key: Callable[[], str],
    zeros: str = "zeros",
) -> tuple[Candidate, str]:
    """The candidate to run and the reason in words; the first candidates are dense ones.

    ``key()`` identifies the layer, for measurements kept on disk; ``zeros`` says what it is that sparse kernels skip.
    """
    wanted = builder.options.kernels
    if wanted != "auto":
        dense = [candidate for candidate in candidates if candidate.format == "dense"]
        sparse = [candidate for candidate in candidates if candidate.format != "dense"]
        candidates = dense if wanted == "dense" or not sparse else sparse
    race = builder.options.race
    if race is not None and len(candidates) > 1:
        seconds = race(builder, candidates, key())
        if seconds is not None:
            return _measured(candidates, seconds)
        usual = {candidate.format: candidate for candidate in reversed(candidates)}
        chosen, reason = _believed([c for c in candidates if usual[c.format] is c], density, wanted, zeros)
        return chosen, f"too noisy to measure, so by what is expected: {reason}"
    return _believed(candidates, density, wanted, zeros)


def _believed(
    candidates: Sequence[Candidate], density: float, wanted: str, zeros: str
) -> tuple[Candidate, str]:
    """The candidate that is expected to be the fastest, and why; candidates are one for each way to store weights."""
    if wanted != "auto":
        return _expected(candidates, density), f"only {wanted} kernels were asked for"
    chosen, words = _expected(candidates, density), zeros_in_words(density, zeros)
    if chosen.format != "dense":
        return chosen, f"{words}, more than the {100 * (1 - chosen.limit):.0f} % from which it pays"
    limits = [candidate.limit for candidate in candidates if candidate.format != "dense"]
    return (
        chosen,
        f"{words}, sparse pays from {100 * (1 - max(limits)):.0f} % on" if limits else f"no {zeros}",
    )


def _expected(candidates: Sequence[Candidate], density: float) -> Candidate:
    """The last candidate whose limit is above ``density``; the first candidate if there is none."""
    return [candidates[0], *(c for c in candidates if density < c.limit)][-1]


def _measured(candidates: Sequence[Candidate], seconds: Sequence[float]) -> tuple[Candidate, str]:
    # In the network, other layers' data fills the caches: a narrow win of a sparse kernel by itself is none there.
    handicap = [
        time / NARROW if c.format != "dense" else time for time, c in zip(seconds, candidates, strict=True)
    ]
    chosen = candidates[handicap.index(min(handicap))]
    ranked = sorted(zip(seconds, candidates, strict=True), key=lambda pair: (pair[1] is not chosen, pair[0]))
    best = ranked[0][0]
    others: dict[str, float] = {}
    for time, candidate in ranked:
        if candidate.format != chosen.format:
            others.setdefault(candidate.format, time / best)
    margins = ", ".join(f"{margin:.2f}x as fast as {name}" for name, margin in others.items())
    return chosen, f"measured: {margins or 'the fastest of its kind'}"
