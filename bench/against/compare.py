"""Every engine on every network of the zoo at every sparsity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.measure.contest import Settings, contest
from bench.measure.output import bar, move
from bench.subjects.networks import build_graph
from bench.subjects.sparsity import sparsify
from sparsenet import Graph
from sparsenet.graph.counts import count_layers, total
from sparsenet.timing import Rounds, spread


@dataclass(frozen=True)
class Result:
    """One engine on one network at one sparsity.

    Attributes:
        model, sparsity, engine: what ran; ``sparsity`` as asked for.
        zeros: share of zeros among all weights of convolutions and linear layers.
        median_ms, min_ms: of one inference, the whole batch.
        ratio: median over rounds of its time over that of our sparse engine in the same round, above 1 where ours is
            faster; ``ratio_interval`` is its 95 % interval. None without our engine in the run, and where the machine
            was too noisy to tell.
        too_noisy: whether it was.
        error: largest relative difference of any output from the first engine's.
        clock: what was counted, "cpu" or "wall".
        rounds, dropped: how many rounds count, and how many do not because something disturbed them.
    """

    model: str
    sparsity: float
    engine: str
    zeros: float
    median_ms: float
    min_ms: float
    ratio: float | None
    ratio_interval: tuple[float, float] | None
    too_noisy: bool
    error: float
    clock: str
    rounds: int
    dropped: int


@dataclass
class Comparison:
    """All results of a run, and the engines left out of it with the reason."""

    results: list[Result]
    skipped: dict[str, str]

    def geometric_means(self) -> list[tuple[str, float, float]]:
        """(engine, sparsity, geometric mean over the models of the median ratios)."""
        groups: dict[tuple[str, float], list[float]] = {}
        for r in self.results:
            if r.ratio is not None and r.engine != "ours":
                groups.setdefault((r.engine, r.sparsity), []).append(r.ratio)
        return [(*key, float(np.exp(np.mean(np.log(ratios))))) for key, ratios in groups.items()]


def compare(
    models: Sequence[str],
    sparsities: Sequence[float],
    settings: Settings,
    size: int | None = None,
    keep: Callable[[Comparison], object] = lambda _: None,
) -> Comparison:
    """Prepare, check and time every engine on every network at every sparsity.

    Args:
        models, sparsities: every combination.
        settings: of each; its seed is that of the weights, too.
        size: side of the images; each network's own if None.
        keep: called with what there is after each, so that a run cut short has not been in vain.

    Raises:
        SparsenetError: outputs of two engines differ too much, so that their times mean nothing.
        InputError: unknown model or engine, more threads than CPUs.
    """
    settings.check()
    comparison = Comparison([], {})
    with bar(len(models) * len(sparsities), "network") as progress:
        for model in models:
            progress.set_description(f"{model}: building")
            graph = build_graph(model, size, settings.seed)
            for sparsity in sparsities:
                progress.set_description(f"{model} at {sparsity:.0%}")
                pruned = sparsify(graph, sparsity)
                comparison.results += _measure(pruned, model, sparsity, settings, comparison.skipped)
                keep(comparison)
                progress.update()
    return comparison


def _measure(
    graph: Graph, model: str, sparsity: float, settings: Settings, skipped: dict[str, str]
) -> list[Result]:
    zeros = total(count_layers(graph)).sparsity
    what = f"{model} at {sparsity:.0%}"
    with contest(graph, settings, skipped, what) as field, bar(None, "round", leave=False) as progress:
        taken = field.take(partial(move, progress))
    return [_result(model, sparsity, name, zeros, taken, field.errors[name]) for name in taken.samples]


def _result(model: str, sparsity: float, engine: str, zeros: float, taken: Rounds, error: float) -> Result:
    beside = "ours" if "ours" in taken.samples else engine
    samples, _ = taken.seconds(engine, beside)
    ratio = taken.ratio(engine, beside)
    compared = "ours" in taken.samples
    return Result(
        model,
        sparsity,
        engine,
        zeros,
        spread(samples).median * 1e3,
        float(samples.min()) * 1e3,
        ratio.told if compared else None,
        ratio.interval if compared else None,
        ratio.noisy,
        error,
        taken.clock.counts,
        ratio.rounds,
        ratio.dropped,
    )
