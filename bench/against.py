"""Our engine against others on whole pruned networks, interleaved in one run.

python -m bench.against --models mobilenetv1 resnet50 --sparsity 0 0.8 0.9 --threads 1 --json out.json
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bench.engines import ENGINES, LABELS, EngineMissing, Network, Session, session_clock, session_turns
from bench.measure.agreement import check_outputs
from bench.measure.command import Parser, run
from bench.measure.versions import versions
from bench.subjects.networks import MODELS, build_graph
from bench.subjects.sparsity import SPARSITY_NOTE, sparsify
from sparsenet import Graph
from sparsenet.checks import real_number, whole_number
from sparsenet.errors import InputError
from sparsenet.graph.counts import count_layers, total
from sparsenet.io.files import require_outputs, write_atomically
from sparsenet.targets.cpu.runtime.threads import available_cpus
from sparsenet.text.table import render, to_json
from sparsenet.timing import Rounds, rounds_for, spread, take_rounds

DEFAULT_MODELS = ["minixception-128-256", "mobilenetv1", "maskcnn", "resnet50"]
#: Others are compared when named: OpenVINO, and what one writes with NumPy or SciPy.
DEFAULT_ENGINES = ["ours", "dense", "ort", "deepsparse", "torch"]


@dataclass(frozen=True)
class Settings:
    """How every network of a run is measured: ``size`` is the side of its images.

    ``seconds`` is about how long; up to three times as long where other work disturbs it.
    """

    threads: int = 1
    batch: int = 1
    seconds: float = 5.0
    size: int | None = None
    seed: int = 0


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
    engines: Sequence[str],
    settings: Settings,
    keep: Callable[[Comparison], object] = lambda _: None,
) -> Comparison:
    """Prepare, check and time every engine on every network at every sparsity.

    ``keep`` is called with what there is after each, so that a run cut short has not been in vain.

    Raises:
        SparsenetError: outputs of two engines differ too much, so that their times mean nothing.
        InputError: unknown model or engine, a sparsity outside [0, 1), more threads than CPUs.
    """
    _check(models, sparsities, engines, settings.threads)
    comparison = Comparison([], {})
    with tqdm(total=len(models) * len(sparsities), unit="network", file=sys.stderr) as bar:
        for model in models:
            bar.set_description(f"{model}: building")
            graph = build_graph(model, settings.size, settings.seed)
            for sparsity in sparsities:
                bar.set_description(f"{model} at {sparsity:.0%}")
                pruned = sparsify(graph, sparsity)
                comparison.results += _measure(pruned, model, sparsity, engines, settings, comparison.skipped)
                keep(comparison)
                bar.update()
    return comparison


def _measure(
    graph: Graph,
    model: str,
    sparsity: float,
    engines: Sequence[str],
    settings: Settings,
    skipped: dict[str, str],
) -> list[Result]:
    network = Network(graph, settings.batch)
    sessions: dict[str, Session] = {}
    try:
        for name in engines:
            try:
                sessions[name] = ENGINES[name](network, settings.threads)
            except EngineMissing as missing:
                skipped[name] = str(missing)
        if not sessions:
            raise InputError(f"no engine is left to time: {'; '.join(skipped.values())}")
        x = network.example(settings.seed)
        outputs = {name: session(x) for name, session in sessions.items()}
        errors = check_outputs(outputs, f"{model} at {sparsity:.0%}")
        clock = session_clock(sessions, settings.threads)
        turns = session_turns(sessions, clock)
        rounds = rounds_for(turns, settings.seconds)
        with tqdm(total=rounds, unit="round", leave=False, file=sys.stderr) as bar:
            taken = take_rounds(turns, rounds, clock, seed=settings.seed, progress=bar.update)
    finally:
        for session in sessions.values():
            session.close()
        network.close()
    zeros = total(count_layers(graph)).sparsity
    return [_result(model, sparsity, name, zeros, taken, errors[name]) for name in taken.samples]


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


def _check(models: Sequence[str], sparsities: Sequence[float], engines: Sequence[str], threads: int) -> None:
    for kind, given, known in (("model", models, MODELS), ("engine", engines, ENGINES)):
        for name in given:
            if name not in known:
                raise InputError(f"unknown {kind} '{name}': choose from {', '.join(known)}")
    for sparsity in sparsities:
        if not 0 <= sparsity < 1:
            raise InputError(f"sparsity is the fraction of zeros, at least 0 and below 1; got {sparsity}")
    if not 1 <= threads <= available_cpus():
        raise InputError(
            f"threads must be between 1 and the {available_cpus()} CPUs this process may use, got {threads}"
        )


def tables(comparison: Comparison, batch: int) -> str:
    """Every result, then geometric means over the models, as aligned text."""
    rows = [
        (
            r.model,
            f"{r.sparsity:.0%}",
            f"{r.zeros:.1%}",
            LABELS[r.engine],
            r.median_ms,
            r.min_ms,
            r.median_ms / batch,
            *_ratio_cells(r),
            f"{r.error:.0e}",
            r.rounds,
            r.dropped,
        )
        for r in comparison.results
    ]
    header = ["model", "sparsity", "all zeros", "engine", "median ms", "min ms", "ms/image"]
    header += ["ours is × faster", "95 % interval", "error", "rounds", "dropped"]
    parts = [render(header, rows)]
    means = comparison.geometric_means()
    if means:
        sparsities = list(dict.fromkeys(s for _, s, _ in means))
        of = {(engine, s): value for engine, s, value in means}
        by_engine = [
            (f"ours vs {LABELS[e]}", *(of.get((e, s)) for s in sparsities))
            for e in dict.fromkeys(e for e, _, _ in means)
        ]
        parts.append(render(["geometric mean over models", *(f"{s:.0%}" for s in sparsities)], by_engine))
    return "\n\n".join(parts)


def _ratio_cells(result: Result) -> tuple[float | None, str | None]:
    if result.too_noisy:
        return None, "too noisy to tell"
    if result.engine == "ours" or result.ratio is None or result.ratio_interval is None:
        return None, None
    low, high = result.ratio_interval
    return result.ratio, f"{low:.3g} to {high:.3g}"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m bench.against",
        description=textwrap.fill(
            "Time our engine, sparse and dense, against ONNX Runtime, DeepSparse and PyTorch on pruned networks. "
            "Outputs are compared first; engines then take turns in random order within one run. Ratios are medians "
            "over rounds: the other's time over ours. With one thread processor time counts, with several wall time; "
            "rounds that other work disturbed are dropped, and where too few are left it says so.",
            100,
        ),
        epilog=textwrap.fill(f"{SPARSITY_NOTE}.", 100)
        + "\n\nDeepSparse needs Python 3.11: name an interpreter that has it in SPARSENET_DEEPSPARSE_PYTHON."
        + "\n\nexample:\n  taskset -c 0 python -m bench.against --models mobilenetv1 resnet50 --sparsity 0 0.9 "
        "--engines ours ort",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--models", nargs="+", default=DEFAULT_MODELS, metavar="NAME", help=f"of {', '.join(MODELS)}"
    )
    parser.add_argument(
        "--sparsity", nargs="+", type=float, default=[0, 0.5, 0.7, 0.8, 0.9, 0.95], metavar="S"
    )
    parser.add_argument(
        "--engines", nargs="+", default=DEFAULT_ENGINES, metavar="NAME", help=f"of {', '.join(ENGINES)}"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long each network is timed")
    parser.add_argument(
        "--size", type=int, help="side of the images, where a network takes others than its own"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, input and order")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there as well")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    require_outputs([args.json])
    whole_number(args.batch, "batch")
    real_number(args.seconds, "seconds", above=True)
    if args.size is not None:
        whole_number(args.size, "size", 2**14, 8)
    settings = Settings(args.threads, args.batch, args.seconds, args.size, args.seed)
    comparison = compare(
        args.models,
        args.sparsity,
        args.engines,
        settings,
        lambda so_far: _write_json(args, so_far) if args.json else None,
    )
    print(tables(comparison, args.batch))
    print(f"\n{args.threads} thread(s), batch {args.batch}; {SPARSITY_NOTE}.")
    for engine, note in comparison.skipped.items():
        print(f"{LABELS[engine]} left out: {note}.")
    return 0


def _write_json(args: argparse.Namespace, comparison: Comparison) -> None:
    record: dict[str, Any] = {
        "settings": {key: value for key, value in vars(args).items() if key != "json"},
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "versions": versions(),
        "note": SPARSITY_NOTE,
        "skipped": comparison.skipped,
        "results": [asdict(r) for r in comparison.results],
        "geometric_means": [
            {"engine": e, "sparsity": s, "ratio": ratio} for e, s, ratio in comparison.geometric_means()
        ],
    }
    write_atomically(args.json, to_json(record).encode())


if __name__ == "__main__":
    run(main, "bench.against")
