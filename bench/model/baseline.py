"""Times of another day, to hold those of today against."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.model.results import Result
from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.io import strict_json

#: What a row was measured with: rows that agree in it are compared.
Cell = tuple[str, float | None, str | None, int, int]
#: What must be the same for times in yardsticks to mean the same.
SAME = {"cpu": "processor", "cpu_features": "vector instructions", "lanes": "vector length", "numpy": "NumPy"}
RECORD = "record one here with --export-path"


def cell_of(result: Result) -> Cell:
    """The engine, and what it was asked to do."""
    return result.engine, result.sparsity, result.block, result.threads, result.batch


@dataclass(frozen=True)
class Baseline:
    """What an earlier ``sparsenet bench`` has written.

    Attributes:
        results: of its first engine.
        engines: of it, in the order of its table.
        versions: of what it ran on and with.
        when: it was written, with its time zone.
        name: of the network.
    """

    results: dict[Cell, Result]
    engines: tuple[str, ...]
    versions: dict[str, str]
    when: datetime
    name: str = ""

    @property
    def block(self) -> str | None:
        """Of the zeros that were imposed; None if none were."""
        return next((row.block for row in self.results.values() if row.block), None)

    @property
    def sparsities(self) -> tuple[float | None, ...]:
        """That were measured; None: as it was."""
        return tuple(dict.fromkeys(row.sparsity for row in self.results.values()))

    @property
    def threads(self) -> tuple[int, ...]:
        """Numbers of them that were measured."""
        return tuple(dict.fromkeys(row.threads for row in self.results.values()))

    @property
    def batches(self) -> tuple[int, ...]:
        """That were measured."""
        return tuple(dict.fromkeys(row.batch for row in self.results.values()))

    def require_same(self, versions: dict[str, str]) -> None:
        """Raise InputError unless it was measured on such a machine as this, with the same NumPy."""
        for key, what in SAME.items():
            then, now = self.versions.get(key), versions.get(key)
            if then != now:
                raise InputError(
                    f"the baseline was measured with another {what}, {then} instead of {now}, which tells nothing of "
                    f"this one: {RECORD}"
                )


def read_baseline(path: Path) -> Baseline:
    """``read_record`` of what has to be a baseline; InputError, too, if the machine was too noisy for one."""
    record = read_record(path)
    if any(row.yardsticks is None for row in record.results.values()):
        raise InputError(f"{path}: the machine was too noisy for a baseline; {RECORD}, while it is quieter")
    return record


def read_record(path: Path) -> Baseline:
    """Read what ``sparsenet bench --export-path`` has written.

    Raises:
        InputError: it cannot be read, or is something else.
    """
    try:
        record = strict_json.read(path)
        rows = [_result(row) for row in record["results"]]
        if not rows:
            raise ValueError
        versions = {str(key): str(value) for key, value in record["versions"].items()}
        when = datetime.fromisoformat(record["datetime"])
        engines = tuple(dict.fromkeys(row.engine for row in rows))
        first = {cell_of(row): row for row in rows if row.engine == engines[0]}
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except MemoryLimitError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise InputError(f"{path} is not what `sparsenet bench --export-path` writes: {RECORD}") from None
    return Baseline(first, engines, versions, when, str(record["name"]))


def _result(row: dict[str, Any]) -> Result:
    known = [field.name for field in fields(Result) if field.name in row or field.default is MISSING]
    result = Result(**{name: row[name] for name in known})
    for number in (result.yardsticks, result.yardsticks_low, result.yardsticks_high):
        if number is not None and not (isinstance(number, float | int) and number > 0):
            raise ValueError
    if not isinstance(result.engine, str) or not all(
        isinstance(n, int) for n in (result.threads, result.batch)
    ):
        raise ValueError
    return result
