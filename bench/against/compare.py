"""Every engine on every network of the zoo at every sparsity."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.engines import ENGINES
from bench.measure.contest import Contest, Settings, contest
from bench.measure.output import bar, move
from bench.subjects.networks import build_graph
from bench.subjects.sparsity import sparsify
from sparsenet import Graph
from sparsenet.graph.counts import count_layers, total
from sparsenet.timing import Rounds, spread

#: Stands for whichever engine of others is fastest on a network, where that is known of each of them.
FASTEST = "fastest"


@dataclass(frozen=True)
class Result:
    """One engine on one network at one sparsity.

    Attributes:
        model, sparsity, block, engine: what ran; ``sparsity`` as asked for, in blocks of this shape.
        zeros: share of zeros among all weights of convolutions and linear layers.
        median_ms, min_ms: of one inference, the whole batch.
        ratio: median over rounds of its time over that of the first engine in the same round, above 1 where the first
            is faster; ``ratio_interval`` is its 95 % interval. None where the first is missing, and where the machine
            was too noisy to tell.
        too_noisy: whether it was.
        error: largest relative difference of any output from the first float32 engine's; of an engine of fewer bits,
            the relative norm of its difference from float32.
        same_top: share of images on which an engine of fewer bits has the same largest output as float32.
        clock: what was counted, "cpu" or "wall".
        rounds, dropped: how many rounds count, and how many do not because something disturbed them.
    """

    model: str
    sparsity: float
    block: str
    engine: str
    zeros: float
    median_ms: float
    min_ms: float
    ratio: float | None
    ratio_interval: tuple[float, float] | None
    too_noisy: bool
    error: float
    same_top: float | None
    clock: str
    rounds: int
    dropped: int


@dataclass
class Comparison:
    """All results of a run, and the engines left out of it with the reason.

    Attributes:
        first: the engine whose speed is told.
        results, skipped: what there is so far.
    """

    first: str
    results: list[Result]
    skipped: dict[str, str]

    def geometric_means(self) -> list[tuple[str, str, float, float]]:
        """(engine, block, sparsity, geometric mean over the models of the median ratios); see ``FASTEST``."""
        groups: dict[tuple[str, str, float], list[float]] = {}
        cells: dict[tuple[str, str, float], list[float | None]] = {}
        for r in self.results:
            if r.engine != self.first and r.ratio is not None:
                groups.setdefault((r.engine, r.block, r.sparsity), []).append(r.ratio)
            if r.engine != self.first and not ENGINES[r.engine].ours:
                cells.setdefault((r.model, r.block, r.sparsity), []).append(r.ratio)
        for (_, block, sparsity), ratios in cells.items():
            told = [ratio for ratio in ratios if ratio is not None]
            if len(told) == len(ratios) > 1:
                groups.setdefault((FASTEST, block, sparsity), []).append(min(told))
        return [(*key, float(np.exp(np.mean(np.log(ratios))))) for key, ratios in groups.items()]


def compare(
    models: Sequence[str],
    sparsities: Sequence[float],
    settings: Settings,
    size: int | None = None,
    keep: Callable[[Comparison], object] = lambda _: None,
    blocks: Sequence[str] = ("1x1",),
) -> Comparison:
    """Prepare, check and time every engine on every network with all kinds of zeros.

    Args:
        models, sparsities: every combination.
        settings: of each; its seed is that of the weights, too.
        size: side of the images; each network's own if None.
        keep: called with what there is after each, so that a run cut short has not been in vain.
        blocks: of the zeros, at every sparsity; see ``bench.subjects.sparsity.BLOCKS``.

    Raises:
        SparsenetError: outputs of two engines differ too much, so that their times mean nothing.
        InputError: unknown model or engine, more threads than CPUs.
    """
    settings.check()
    comparison = Comparison(settings.engines[0], [], {})
    zeros = list(itertools.product(blocks, sparsities))
    with bar(len(models) * len(zeros), "network") as progress:
        for model in models:
            progress.set_description(f"{model}: building")
            graph = build_graph(model, size, settings.seed)
            for block, sparsity in zeros:
                progress.set_description(f"{model} at {sparsity:.0%} in {block}")
                pruned = sparsify(graph, sparsity, block)
                comparison.results += _measure(pruned, model, sparsity, block, settings, comparison.skipped)
                keep(comparison)
                progress.update()
    return comparison


def _measure(
    graph: Graph, model: str, sparsity: float, block: str, settings: Settings, skipped: dict[str, str]
) -> list[Result]:
    what = f"{model} at {sparsity:.0%} in {block}"
    with contest(graph, settings, skipped, what) as field, bar(None, "round", leave=False) as progress:
        taken = field.take(partial(move, progress))
    zeros = total(count_layers(graph)).sparsity
    return [_result(model, sparsity, block, zeros, name, field, taken) for name in taken.samples]


def _result(
    model: str, sparsity: float, block: str, zeros: float, engine: str, field: Contest, taken: Rounds
) -> Result:
    first = field.settings.engines[0]
    compared = first in taken.samples
    beside = first if compared else engine
    samples, _ = taken.seconds(engine, beside)
    ratio, rounded = taken.ratio(engine, beside), field.rounded.get(engine)
    return Result(
        model=model, sparsity=sparsity, block=block, engine=engine, zeros=zeros,
        median_ms=spread(samples).median * 1e3, min_ms=float(samples.min()) * 1e3,
        ratio=ratio.told if compared else None, ratio_interval=ratio.interval if compared else None,
        too_noisy=ratio.noisy, error=field.errors[engine], same_top=rounded.same_top if rounded else None,
        clock=taken.clock.counts, rounds=ratio.rounds, dropped=ratio.dropped,
    )  # fmt: skip
