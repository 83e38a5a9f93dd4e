"""Runs of ``python -m bench.against`` as one page of Markdown: every network, baseline and sparsity.

python -m bench.against --threads 1 --json one.json && python -m bench.speed_table one.json
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from bench.engines import ENGINES, LABELS
from bench.measure.command import BenchCommand
from sparsenet.errors import InputError
from sparsenet.io import strict_json

#: (model, sparsity, engine) → a result as ``bench.against`` writes it.
Cells = dict[tuple[str, float, str], dict[str, Any]]


@dataclass(frozen=True)
class Runs:
    """Results of runs with one number of threads; where two measured the same, the one with more rounds counts."""

    threads: int
    cells: Cells

    @property
    def sparsities(self) -> list[float]:
        return sorted({sparsity for _, sparsity, _ in self.cells})

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(model for model, _, _ in self.cells))

    @property
    def baselines(self) -> list[str]:
        """Engines other than ours, in the order of the registry."""
        there = {engine for _, _, engine in self.cells}
        return [name for name in ENGINES if name in there and name != "ours"]

    def told(self, model: str, sparsity: float, engine: str) -> bool:
        """Whether this was measured, and the machine was not too noisy to tell."""
        return self.cells.get((model, sparsity, engine), {}).get("ratio") is not None

    def widths(self) -> list[float]:
        """Half the width of every ratio's interval, as a fraction of it."""
        results = [cell for (_, _, engine), cell in self.cells.items() if engine != "ours" and cell["ratio"]]
        return [
            (cell["ratio_interval"][1] - cell["ratio_interval"][0]) / 2 / cell["ratio"] for cell in results
        ]


def read(paths: Sequence[Path]) -> list[Runs]:
    """One ``Runs`` for each number of threads, fewest first.

    Raises:
        InputError: a file is not what ``bench.against --json`` writes, or holds no results.
    """
    found: dict[int, Cells] = {}
    for path in paths:
        try:
            record = strict_json.read(path)
            cells = found.setdefault(int(record["settings"]["threads"]), {})
            if not record["results"]:
                raise ValueError("it holds no results")
            for result in record["results"]:
                _check(result)
                key = result["model"], float(result["sparsity"]), result["engine"]
                if key not in cells or cells[key]["rounds"] < result["rounds"]:
                    cells[key] = result
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is no result of `python -m bench.against --json`: {error!r}") from None
    return [Runs(threads, found[threads]) for threads in sorted(found)]


def _check(result: dict[str, Any]) -> None:
    """Raise an error, one of several kinds, unless a page can be made of it."""
    ratio = result["ratio"]
    positive = [result["median_ms"], *([] if ratio is None else [ratio, *result["ratio_interval"]])]
    if result["engine"] not in ENGINES or not all(number > 0 for number in positive):
        raise ValueError(f"an engine or a time of '{result['model']}'")
    if ratio is not None and len(positive) != 4:
        raise ValueError(f"an interval of '{result['model']}'")


def means(runs: Runs) -> str:
    """A row per baseline: geometric means over the networks on which all its ratios are known."""
    rows = []
    for engine in runs.baselines:
        whole = [m for m in runs.models if all(runs.told(m, s, engine) for s in runs.sparsities)]
        ratios = [[runs.cells[m, s, engine]["ratio"] for m in whole] for s in runs.sparsities]
        label = (
            LABELS[engine] if len(whole) == len(runs.models) else f"{LABELS[engine]}, {len(whole)} of them"
        )
        rows.append([label, *(f"{np.exp(np.mean(np.log(r))):.2f}×" if r else "–" for r in ratios)])
    return _table([f"times as fast as ({len(runs.models)} networks)", *map(_percent, runs.sparsities)], rows)


def every(runs: Runs) -> str:
    """Milliseconds of ours and ratio to each baseline, a block of rows per network."""
    rows = []
    for model in runs.models:
        for engine in ("ours", *runs.baselines):
            cells = [runs.cells.get((model, sparsity, engine)) for sparsity in runs.sparsities]
            if not any(cells):
                continue
            rows.append([f"**{model}**" if engine == "ours" else LABELS[engine], *map(_cell, cells)])
    return _table(["", *map(_percent, runs.sparsities)], rows)


def _cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return "–"
    if result["engine"] == "ours":
        return f"**{result['median_ms']:.3g} ms**"
    if result["ratio"] is None:
        return "too noisy"
    return f"{result['ratio']:.3g}×" if result["ratio"] >= 10 else f"{result['ratio']:.2f}×"


def _percent(sparsity: float) -> str:
    return f"{sparsity:.0%}".replace("%", " %")


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(all_runs: list[Runs]) -> str:
    """The means of all runs, then every cell, folded away."""
    parts = []
    for runs in all_runs:
        parts += [f"**{_threads(runs)}**", means(runs)]
    for runs in all_runs:
        summary = f"<summary>Every network, {_threads(runs)}</summary>"
        parts += [f"<details>{summary}", every(runs)]
        if widths := runs.widths():
            parts.append(
                f"95 % intervals of a ratio reach ±{np.median(widths):.1%} around it (median over all cells; "
                f"nine of ten: below ±{np.quantile(widths, 0.9):.1%})."
            )
        parts.append("</details>")
    return "\n\n".join(parts)


def _threads(runs: Runs) -> str:
    return "one thread" if runs.threads == 1 else f"{runs.threads} threads"


@click.command(
    cls=BenchCommand, epilog="Example: python -m bench.speed_table one-thread.json two-threads.json"
)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def main(files: tuple[Path, ...]) -> None:
    """Print results of `python -m bench.against --json FILE` as the tables of docs/speed.md."""
    click.echo(page(read(files)))


if __name__ == "__main__":
    main()
