"""What the page shows, measured step by step, each step kept on disk so that a run cut short goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bench.kernels import worker
from bench.kernels.rates import Rate
from bench.measure.contest import Contest, Settings
from bench.measure.output import plain, write_json
from bench.measure.versions import versions
from bench.model.layers import Layer, layers_of
from bench.model.results import Result, measure
from sparsenet import Graph
from sparsenet.io import strict_json
from sparsenet.targets.cpu.runtime.jit import fingerprint
from sparsenet.targets.host import host
from sparsenet.text.quantities import threads_text
from sparsenet.text.table import to_json

#: What a cell consists of: one that an earlier version kept may lack some.
FIELDS = [field.name for kind in (Result, Layer) for field in fields(kind)]
#: Layers are looked at with this many zeros.
LAYERS_AT = 0.9


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        models, sparsities, threads: every combination.
        engines: of every combination, ours first.
        seconds: of timing for each combination.
        size: side of the images, or None for each network's own.
        quick: fewer layers for the kernels.
    """

    models: tuple[str, ...]
    sparsities: tuple[float, ...]
    threads: tuple[int, ...]
    engines: tuple[str, ...] = ("ours", "dense", "ort")
    seconds: float = 3.0
    size: int | None = None
    quick: bool = False


@dataclass
class Data:
    """All that was measured; ``history`` holds one entry for each commit measured into the same folder."""

    plan: Plan
    versions: dict[str, str]
    results: dict[str, list[Result]] = field(default_factory=dict)
    layers: dict[str, list[Layer]] = field(default_factory=dict)
    rates: list[Rate] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def ratios(self, model: str, engine: str, threads: int) -> list[Result]:
        """Those of them whose speed-up is known: the machine was not too noisy to tell."""
        return [result for result in self.of(model, engine, threads) if result.speedup is not None]

    def of(self, model: str, engine: str, threads: int) -> list[Result]:
        """Results of one engine on one network, by sparsity."""
        found = [r for r in self.results[model] if (r.engine, r.threads) == (engine, threads)]
        return sorted(found, key=lambda result: result.sparsity or 0)


def gather(
    plan: Plan,
    folder: Path,
    build: Callable[[str, int | None], Graph],
    progress: Callable[[str, int, int], object] = lambda *_: None,
) -> Data:
    """Measure what ``folder`` does not hold yet, and add this commit to its history.

    Args:
        plan: what to measure.
        folder: where steps are kept; made if need be.
        build: network by name and size.
        progress: called with what comes next, steps done, and steps in all.

    Raises:
        SparsenetError: as ``measure`` does.
    """
    data = Data(plan, versions())
    combinations = [(m, t, s) for m in plan.models for t in plan.threads for s in plan.sparsities]
    total = len(combinations) + 1
    progress("kernels alone", 0, total)
    rates = _kept(folder / "kernels.json", {"quick": plan.quick}, lambda: _rates(plan.quick))
    data.rates = [Rate(**rate) for rate in rates]
    graphs: dict[str, Graph] = {}
    for number, (model, threads, sparsity) in enumerate(combinations, 1):
        progress(f"{model} at {sparsity:.0%}, {threads_text(threads)}", number, total)
        identity = {"engines": plan.engines, "seconds": plan.seconds, "size": plan.size, "fields": FIELDS}

        def cell(model: str = model, threads: int = threads, sparsity: float = sparsity) -> dict[str, Any]:
            if model not in graphs:
                graphs.clear()  # one network's weights at a time
                graphs[model] = build(model, plan.size)
            return _cell(graphs[model], sparsity, Settings(plan.engines, threads, 1, plan.seconds, 0.5))

        found = _kept(folder / "cells" / f"{model}-{threads}-{sparsity:g}.json", identity, cell)
        data.results.setdefault(model, []).extend(Result(**result) for result in found["results"])
        data.layers.setdefault(model, []).extend(Layer(**layer) for layer in found["layers"])
        data.skipped |= found["skipped"]
    progress("the page", total, total)
    data.history = _remember(folder / "history.json", data)
    return data


def _rates(quick: bool) -> list[dict[str, Any]]:
    request = worker.Request(host().vector().lanes, quick, (), 7 if quick else 11, 1e-4, False)
    return list(plain(worker.run(request, lambda _: None)))


def _cell(graph: Graph, sparsity: float, settings: Settings) -> dict[str, Any]:
    layers: list[Layer] = []

    def inspect(field: Contest) -> None:
        if sparsity == LAYERS_AT and settings.threads == 1:
            layers.extend(layers_of(field, sparsity))

    skipped: dict[str, str] = {}
    results = measure(graph, sparsity, settings, skipped, inspect)
    return {"results": plain(results), "layers": plain(layers), "skipped": skipped}


def _kept(path: Path, identity: dict[str, Any], make: Callable[[], Any]) -> Any:
    """What ``path`` holds if it was made by the same kernels, packages and settings; else ``make()``, then kept."""
    ran = {name: value for name, value in versions().items() if name != "commit"}
    text = to_json([identity, fingerprint(), ran])
    key = hashlib.sha256(text.encode()).hexdigest()
    try:
        kept = strict_json.read(path)
        if kept["key"] == key:
            return kept["value"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or cut short
    value = json.loads(to_json(make()))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"key": key, "value": value})
    return value


def _remember(path: Path, data: Data) -> list[dict[str, Any]]:
    """The history with this commit's speed-ups added or renewed, at the end."""
    try:
        history = list(strict_json.read(path))
    except (OSError, ValueError, TypeError):
        history = []
    commit = data.versions["commit"]
    speedups = [
        {
            "model": model,
            "engine": r.engine,
            "sparsity": r.sparsity,
            "threads": r.threads,
            "speedup": r.speedup,
        }
        for model, results in data.results.items()
        for r in results
        if r.engine != data.plan.engines[0] and r.speedup is not None
    ]
    history = [entry for entry in history if entry["commit"] != commit]
    history.append({"commit": commit, "cpu": data.versions["cpu"], "speedups": speedups})
    write_json(path, history)
    return history
