"""``python -m bench.cuda``: this engine on a GPU, checked and timed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.measure.command import bench_command
from bench.measure.options import (
    batches_option,
    json_option,
    models_option,
    rounds_option,
    size_option,
    sparsities_option,
    threads_option,
)
from bench.subjects.networks import MODELS
from sparsenet.io.files import require_outputs

if TYPE_CHECKING:
    from sparsenet import Graph

CHECKED_SPARSITIES, BATCHES = (0.0, 0.5, 0.8, 0.9, 0.95), (1, 8, 64)
LAYER_SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95)
TIMED_MODELS, TIMED_SPARSITIES = ("mobilenetv1", "resnet50"), (0.0, 0.9)


@bench_command(
    "python -m bench.cuda --check",
    "compute-sanitizer python -m bench.cuda --check --models mobilenetv1 --sparsity 0.9 --batch 1",
    "python -m bench.cuda --json cuda.json",
)
@click.option("--check", is_flag=True, help="Hold outputs against the CPU engine; time nothing.")
@click.option("--only", type=click.Choice(["layers", "models"]), help="Time these alone.")
@models_option((), f"  [default: all to check; {' and '.join(TIMED_MODELS)} to time]")
@sparsities_option(
    (), "Fractions of zeros.  [default: 0 to 0.95 to check, 0.5 to 0.95 for layers, 0 and 0.9 for models]"
)
@batches_option(BATCHES)
@size_option
@rounds_option(30, least=1)
@threads_option(None, text="Of the CPU engine that --check compares with.  [default: the CPUs there are]")
@json_option
def main(
    check: bool, only: str | None, models: tuple[str, ...], sparsity: tuple[float, ...], batch: tuple[int, ...],
    size: int | None, rounds: int, threads: int | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Check every network, sparsity and batch against the CPU engine, or time layers and networks against PyTorch.

    The exit code is 0 if everything asked for is right, 1 if a check fails, 2 where there is no GPU.
    """
    require_outputs([json_file])

    from bench.measure.output import write_json
    from bench.measure.versions import versions
    from sparsenet.targets.cuda.runtime.availability import require_gpu

    require_gpu()
    record: dict[str, list[Any]] = {}
    if check:
        networks = _networks(models or tuple(MODELS), sparsity or CHECKED_SPARSITIES, size)
        record["checks"] = _check(networks, batch, threads)
    else:
        if only != "models":
            record["layers"] = _time_layers(sparsity or LAYER_SPARSITIES, batch, rounds)
        if only != "layers":
            networks = _networks(models or TIMED_MODELS, sparsity or TIMED_SPARSITIES, size)
            record["models"] = _time_models(networks, batch, rounds)
    write_json(json_file, {"versions": versions(), **record})
    sys.exit(int(any(not result.passed for result in record.get("checks", []))))


def _networks(
    models: Sequence[str], sparsities: Sequence[float], size: int | None
) -> Iterator[tuple[Graph, str, float]]:
    """Pruned networks with their names and sparsities, each built when its turn comes."""
    from bench.subjects.networks import build_graph
    from bench.subjects.sparsity import sparsify

    for name in models:
        dense = build_graph(name, size)
        for sparsity in sparsities:
            yield sparsify(dense, sparsity), name, sparsity


def _check(
    networks: Iterator[tuple[Graph, str, float]], batches: Sequence[int], threads: int | None
) -> list[Any]:
    from bench.cuda.check import check

    found = []
    for graph, name, sparsity in networks:
        for result in check(graph, name, sparsity, batches, threads):
            verdict = "ok" if result.passed else "WRONG"
            click.echo(
                f"{name} {sparsity:.0%} batch {result.batch}: {verdict}, error {result.error:.1e}, "
                f"{result.seconds:.1f} s"
            )
            found.append(result)
    return found


def _time_layers(sparsities: Sequence[float], batches: Sequence[int], rounds: int) -> list[Any]:
    from bench.cuda.layers import layer_times, pointwise_layers, table
    from bench.measure.output import bar

    todo = [(shape, s, batch) for shape in pointwise_layers() for s in sparsities for batch in batches]
    times = []
    with bar(len(todo), "layer") as progress:
        for shape, s, batch in todo:
            progress.set_description(shape.name)
            times.append(layer_times(shape, s, batch, rounds))
            progress.update()
    click.echo(table(times))
    return times


def _time_models(
    networks: Iterator[tuple[Graph, str, float]], batches: Sequence[int], rounds: int
) -> list[Any]:
    from bench.cuda.models import model_times, table
    from bench.measure.output import bar

    times = []
    with bar(None, "network") as progress:
        for graph, name, sparsity in networks:
            progress.set_description(f"{name} at {sparsity:.0%}")
            times += [model_times(graph, name, sparsity, batch, rounds) for batch in batches]
            progress.update()
    click.echo(table(times))
    return times


if __name__ == "__main__":
    main()
