"""Results of ``python -m bench.against``, read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engines import ENGINES
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
        """Those measured, fewest zeros first."""
        return sorted({sparsity for _, sparsity, _ in self.cells})

    @property
    def models(self) -> list[str]:
        """Networks in the order of the files."""
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
