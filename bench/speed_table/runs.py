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
#: What all ratios of a table have in common: threads, the engine whose speed is told, blocks of zeros.
Group = tuple[int, str, str]


@dataclass(frozen=True)
class Runs:
    """Results that make one table; where two measured the same, the one with more rounds counts.

    Attributes:
        threads, first, block: number of threads, the engine whose speed is told, and the blocks of zeros, of all.
        cells: the results.
    """

    threads: int
    first: str
    block: str
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
        """Engines other than the first, in the order of the registry."""
        there = {engine for _, _, engine in self.cells}
        return [name for name in ENGINES if name in there and name != self.first]

    def told(self, model: str, sparsity: float, engine: str) -> bool:
        """Whether this was measured, and the machine was not too noisy to tell."""
        return self.cells.get((model, sparsity, engine), {}).get("ratio") is not None

    def widths(self) -> list[float]:
        """Half the width of every ratio's interval, as a fraction of it."""
        results = [
            cell for (_, _, engine), cell in self.cells.items() if engine != self.first and cell["ratio"]
        ]
        return [
            (cell["ratio_interval"][1] - cell["ratio_interval"][0]) / 2 / cell["ratio"] for cell in results
        ]


def read(paths: Sequence[Path]) -> list[Runs]:
    """One ``Runs`` for each number of threads, first engine and block, fewest threads first.

    Raises:
        InputError: a file is not what ``bench.against --json`` writes, or holds no results.
    """
    found: dict[Group, Cells] = {}
    for path in paths:
        try:
            record = strict_json.read(path)
            settings = record["settings"]
            if not record["results"]:
                raise ValueError("it holds no results")
            for result in record["results"]:
                _check(result)
                group = int(settings["threads"]), str(settings["engines"][0]), str(result["block"])
                cells = found.setdefault(group, {})
                key = result["model"], float(result["sparsity"]), result["engine"]
                if key not in cells or cells[key]["rounds"] < result["rounds"]:
                    cells[key] = result
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is no result of `python -m bench.against --json`: {error!r}") from None
    return [Runs(*group, found[group]) for group in sorted(found)]


def _check(result: dict[str, Any]) -> None:
    """Raise an error, one of several kinds, unless a page can be made of it."""
    ratio = result["ratio"]
    positive = [result["median_ms"], *([] if ratio is None else [ratio, *result["ratio_interval"]])]
    if result["engine"] not in ENGINES or not all(number > 0 for number in positive):
        raise ValueError(f"an engine or a time of '{result['model']}'")
    if ratio is not None and len(positive) != 4:
        raise ValueError(f"an interval of '{result['model']}'")
