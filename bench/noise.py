"""Are measured speed-ups right on a busy machine? ``bench`` and ``convert`` again and again beside loops that compute.

python -m bench.noise --tries 20

A network of five convolutions with 90 % zeros, or one of the zoo, is timed sparse against dense: quiet, with a busy
loop on one core that it uses, and with one on each of two cores. The median of the quiet tries is the truth. A try is
right if its ratio is within 10 % of it, and honest if it says that it cannot tell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
from tqdm import tqdm

import sparsenet
from bench.dense_shapes import DenseShape, chain
from bench.engines.onnx_writer import write_onnx
from bench.measure.command import BenchCommand
from bench.measure.several import SeveralValues
from bench.measure.versions import versions
from bench.subjects.sparsity import sparsify
from sparsenet import Graph
from sparsenet.commands.options import THREADS, FiniteRange
from sparsenet.errors import InputError, SparsenetError
from sparsenet.io.files import require_outputs, write_atomically
from sparsenet.text.table import render, to_json

#: A ratio that is off by no more than this is right.
TOLERANCE = 0.10
ZEROS = 0.9
LOOP = "while True: pass"
QUIET, ONE, TWO = "quiet", "a loop on one core", "loops on two cores"
COMMANDS = ("bench", "convert")


@dataclass(frozen=True)
class Trial:
    """Tries of one command under one condition.

    Attributes:
        command, threads, condition: what was tried.
        ratios: what each try told; None where it was too noisy to tell.
        counted, dropped: rounds of each try.
        load: of the machine at the end, one-minute average.
    """

    command: str
    threads: int
    condition: str
    ratios: list[float | None]
    counted: list[int]
    dropped: list[int]
    load: float

    def verdicts(self, truth: float | None) -> tuple[int, int, int]:
        """How many tries were right, could not tell, and were wrong."""
        told = [ratio for ratio in self.ratios if ratio is not None]
        right = sum(truth is not None and abs(ratio / truth - 1) <= TOLERANCE for ratio in told)
        return right, len(self.ratios) - len(told), len(told) - right


def small_network() -> Graph:
    """Sparse runs of it fit into a time slice, dense ones do not."""
    layers = [DenseShape(3, 64, 32, 3), *[DenseShape(64, 64, 32, 3)] * 4]
    return chain(layers, averages=False)


def placing(threads: int, condition: str, cores: list[int]) -> tuple[list[int], list[int]]:
    """Cores of the command, and those of the loops."""
    own = cores[:1] if threads == 1 and condition != TWO else cores[: max(threads, 2)]
    return own, {QUIET: [], ONE: cores[:1], TWO: cores[:2]}[condition]


def attempt(command: str, files: Path, threads: int, seconds: float) -> tuple[float | None, int, int]:
    """The ratio that one run tells, its rounds, and how many it dropped.

    Raises:
        SparsenetError: the command failed.
    """
    if command == "bench":
        words = [str(files / "network.safetensors"), "--engines", "ours", "dense", "-t", str(seconds), "-q"]
    else:
        words = [str(files / "network.onnx"), "-o", str(files / "converted.safetensors")]
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-m", "sparsenet", command, *words, "--threads", str(threads), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SparsenetError(f"{command} failed: {done.stderr[-500:]}")
    record = json.loads(done.stdout)
    found: dict[str, Any] = record["results"][1] if command == "bench" else record["speed"]
    return found["speedup"], found["rounds"], found["dropped"]


@contextmanager
def busy(cores: list[int]) -> Iterator[None]:
    """A loop computes on each of the cores meanwhile."""
    with ExitStack() as stack:
        for core in cores:
            with _on([core]):
                loop = subprocess.Popen([sys.executable, "-c", LOOP])  # noqa: S603
            stack.callback(loop.wait)
            stack.callback(loop.kill)
        yield


@contextmanager
def _on(cores: list[int]) -> Iterator[None]:
    """This process, and what it starts meanwhile, runs on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def summary(trials: list[Trial]) -> str:
    """A row for each trial, judged by the quiet tries of the same command and threads."""
    rows = []
    for trial in trials:
        quiet = [
            t for t in trials if (t.command, t.threads, t.condition) == (trial.command, trial.threads, QUIET)
        ]
        known = [ratio for t in quiet for ratio in t.ratios if ratio is not None]
        told = [ratio for ratio in trial.ratios if ratio is not None]
        span = f"{min(told):.2f} to {max(told):.2f}" if told else None
        rows.append(
            (
                trial.command, trial.threads, trial.condition, len(trial.ratios),
                *trial.verdicts(median(known) if known else None), span,
                round(median(trial.counted)), round(median(trial.dropped)), trial.load,
            )
        )  # fmt: skip
    header = ["command", "threads", "beside", "tries", "right", "cannot tell", "wrong", "told"]
    return render([*header, "rounds", "dropped", "load"], rows)


class _Command(SeveralValues, BenchCommand):
    several = {"--threads": str.isdigit, "--commands": COMMANDS.__contains__}  # noqa: RUF012 - never changed


@click.command(
    cls=_Command, epilog="Example: python -m bench.noise --tries 20 --threads 1 2 --json noise.json"
)
@click.option("--tries", type=click.IntRange(1), default=20, show_default=True, help="Of each kind.")
@click.option("--threads", type=THREADS, multiple=True, default=(1, 2), show_default=True)
@click.option("--commands", type=click.Choice(COMMANDS), multiple=True, default=COMMANDS, show_default=True)
@click.option(
    "--seconds",
    type=FiniteRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Of timing, for bench.",
)
@click.option("--model", help="A network of the zoo, instead of five small convolutions.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write every try there.")
def main(
    tries: int, threads: tuple[int, ...], commands: tuple[str, ...], seconds: float, model: str | None,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Time one network beside busy loops, sparse against dense; count tries that are right, cannot tell, are wrong."""
    if not hasattr(os, "sched_setaffinity"):
        raise InputError("loops and commands are put on cores of their own, which this system cannot")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < max(2, *threads):
        raise InputError(f"{max(2, *threads)} cores are needed; this process may use {len(cores)}")
    if model is None:
        graph = small_network()
    else:
        from bench.subjects.networks import build_graph

        graph = build_graph(model)
    require_outputs([json_file])
    kinds = [(c, t, beside) for c in commands for t in threads for beside in (QUIET, ONE, TWO)]
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder, tqdm(total=len(kinds) * tries, unit="try") as bar:
        files = Path(folder)
        pruned = sparsify(graph, ZEROS)
        sparsenet.save(pruned, files / "network.safetensors")
        write_onnx(pruned, files / "network.onnx", 1, "batch_norm")
        for command, count, beside in kinds:
            bar.set_description(f"{command}, {count} thread(s), {beside}")
            own, taken = placing(count, beside, cores)
            found = []
            with busy(taken), _on(own):
                for _ in range(tries):
                    found.append(attempt(command, files, count, seconds))
                    bar.update()
            ratios, counted, dropped = (list(column) for column in zip(*found, strict=True))
            trials.append(Trial(command, count, beside, ratios, counted, dropped, os.getloadavg()[0]))
            if json_file:
                record = {"versions": versions(), "trials": [asdict(trial) for trial in trials]}
                write_atomically(json_file, to_json(record).encode())
    click.echo(summary(trials))


if __name__ == "__main__":
    main()
