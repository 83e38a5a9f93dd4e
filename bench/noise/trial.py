"""Tries of a command beside busy loops, and how they are judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import sparsenet
from bench.engines.onnx_writer import write_onnx
from bench.measure.load import pinned, spinning_on
from bench.measure.output import bar
from bench.subjects.chain import chain, convolution
from bench.subjects.sparsity import sparsify
from sparsenet import Graph
from sparsenet.errors import SparsenetError
from sparsenet.text.quantities import threads_text
from sparsenet.text.table import render

#: A ratio that is off by no more than this is right.
TOLERANCE = 0.10
ZEROS = 0.9
QUIET, ONE, TWO = "quiet", "a loop on one core", "loops on two cores"


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
    layers = [convolution(3, 64, 32, 3), *[convolution(64, 64, 32, 3)] * 4]
    return chain(layers, averages=False)


def trials(
    graph: Graph,
    commands: Sequence[str],
    threads: Sequence[int],
    tries: int,
    seconds: float,
    cores: list[int],
    keep: Callable[[list[Trial]], object] = lambda _: None,
) -> list[Trial]:
    """Every command with every number of threads under every condition.

    Args:
        graph: pruned to ``ZEROS`` first.
        commands, threads: every combination.
        tries: of each.
        seconds: of timing, for bench.
        cores: that commands and loops are put on.
        keep: called with what there is after each trial.

    Raises:
        SparsenetError: a command failed.
    """
    kinds = [(c, t, beside) for c in commands for t in threads for beside in (QUIET, ONE, TWO)]
    done: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder, bar(len(kinds) * tries, "try") as progress:
        files, pruned = Path(folder), sparsify(graph, ZEROS)
        sparsenet.save(pruned, files / "network.safetensors")
        write_onnx(pruned, files / "network.onnx", 1, "batch_norm")
        for command, count, beside in kinds:
            progress.set_description(f"{command}, {threads_text(count)}, {beside}")
            own, taken = placing(count, beside, cores)
            found = []
            with spinning_on(taken), pinned(own):
                for _ in range(tries):
                    found.append(attempt(command, files, count, seconds))
                    progress.update()
            ratios, counted, dropped = (list(column) for column in zip(*found, strict=True))
            done.append(Trial(command, count, beside, ratios, counted, dropped, os.getloadavg()[0]))
            keep(done)
    return done


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
