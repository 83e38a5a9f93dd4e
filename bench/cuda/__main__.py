"""This engine on a GPU, checked and timed.

python -m bench.cuda --check                       # every network, sparsity and batch against the CPU engine
compute-sanitizer python -m bench.cuda --check --models mobilenetv1 --sparsity 0.9 --batch 1
python -m bench.cuda --json cuda.json              # layers and whole networks against PyTorch
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.measure.command import Parser, run
from sparsenet.io.files import require_outputs, write_atomically
from sparsenet.targets.cuda.runtime.availability import require_gpu

CHECKED_SPARSITIES, BATCHES = (0.0, 0.5, 0.8, 0.9, 0.95), (1, 8, 64)
LAYER_SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95)
TIMED_MODELS, TIMED_SPARSITIES = ("mobilenetv1", "resnet50"), (0.0, 0.9)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(prog="python -m bench.cuda", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="Hold outputs against the CPU engine; time nothing."
    )
    parser.add_argument("--only", choices=("layers", "models"), help="Time these alone.")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="Networks of the zoo.")
    parser.add_argument("--sparsity", nargs="+", type=float, metavar="S", help="Fractions of zeros.")
    parser.add_argument("--batch", nargs="+", type=int, default=list(BATCHES), metavar="N")
    parser.add_argument("--size", type=int, help="Side of the images, instead of what a network is made for.")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, help="Of the CPU engine that --check compares with.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write what was found.")
    return parser.parse_args(argv)


def run_checks(args: argparse.Namespace) -> list[Any]:
    from bench.cuda.check import check
    from bench.subjects.networks import MODELS, build_graph, sparsify

    found = []
    for name in args.models or MODELS:
        dense = build_graph(name, args.size)
        for sparsity in args.sparsity or CHECKED_SPARSITIES:
            for result in check(sparsify(dense, sparsity), name, sparsity, args.batch, args.threads):
                verdict = "ok" if result.passed else "WRONG"
                print(
                    f"{name} {sparsity:.0%} batch {result.batch}: {verdict}, error {result.error:.1e}, "
                    f"{result.seconds:.1f} s",
                    flush=True,
                )
                found.append(result)
    return found


def time_layers(args: argparse.Namespace) -> list[Any]:
    from bench.cuda.layers import measure, pointwise_layers, table

    times = [
        measure(shape, sparsity, batch, args.rounds)
        for shape in pointwise_layers()
        for sparsity in args.sparsity or LAYER_SPARSITIES
        for batch in args.batch
    ]
    print(table(times), flush=True)
    return times


def time_models(args: argparse.Namespace) -> list[Any]:
    from bench.cuda.models import measure, table
    from bench.subjects.networks import build_graph, sparsify

    times = []
    for name in args.models or TIMED_MODELS:
        dense = build_graph(name, args.size)
        for sparsity in args.sparsity or TIMED_SPARSITIES:
            graph = sparsify(dense, sparsity)
            times += [measure(graph, name, sparsity, batch, args.rounds) for batch in args.batch]
    print(table(times), flush=True)
    return times


def main(argv: list[str] | None = None) -> int:
    """0 if everything asked for is right; 1 if a check fails; 2 where there is no GPU."""
    args = arguments(argv)
    record: dict[str, Any] = {}
    require_outputs([args.json])
    require_gpu()
    if args.check:
        record["checks"] = run_checks(args)
    else:
        if args.only != "models":
            record["layers"] = time_layers(args)
        if args.only != "layers":
            record["models"] = time_models(args)
    if args.json is not None:
        from bench.measure.versions import versions

        plain = {name: [asdict(entry) for entry in entries] for name, entries in record.items()}
        write_atomically(args.json, json.dumps({"versions": versions(), **plain}, indent=1).encode())
    return int(any(not result.passed for result in record.get("checks", [])))


if __name__ == "__main__":
    run(main, "bench.cuda")
