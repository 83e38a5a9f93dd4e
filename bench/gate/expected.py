"""What speed-ups are expected: minima in the repository, and those of an earlier run on the same machine."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gate.paired import Ratio
from bench.measure.versions import versions
from sparsenet.errors import MemoryLimitError, SparsenetError
from sparsenet.io import strict_json
from sparsenet.io.files import read_whole, write_atomically
from sparsenet.targets.host import host

EXPECTED = Path(__file__).with_name("expected.toml")
#: Share of the measured speed-up that is expected again: on the machine it was measured on, and on another CPU.
SAME_CPU, OTHER_CPU = 0.9, 0.65
#: Share of an earlier run's that may be lost, its own interval and floor aside.
LOST = 0.05


@dataclass(frozen=True)
class Limits:
    """Group → least speed-up, where it comes from, and the versions it was measured with."""

    least: dict[str, float]
    source: str
    versions: dict[str, str]

    def changed(self) -> str:
        """What differs from those versions now."""
        now = versions()
        names = [name for name in {**self.versions, **now} if self.versions.get(name) != now.get(name)]
        return (
            ", ".join(f"{n}: {self.versions.get(n, 'none')} -> {now.get(n, 'none')}" for n in names)
            or "nothing"
        )


def expected(path: Path = EXPECTED) -> Limits:
    """The minima of the repository for this kind of CPU, a target; lower on another CPU than they were measured on.

    Raises:
        SparsenetError: the file is not there or not readable.
    """
    try:
        table = tomllib.loads(read_whole(path, strict_json.MAX_BYTES).decode())
    except (OSError, ValueError, RecursionError, MemoryLimitError) as error:
        raise SparsenetError(f"{path}: not a readable file of expected speed-ups ({error})") from error
    entry = table.get(host().name, {"versions": {}, "measured": {}})
    now = versions()
    # Virtual machines call very different processors by one name; their features tell them apart.
    same = all(entry["versions"].get(name) == now[name] for name in ("cpu", "cpu_features"))
    share = SAME_CPU if same else OTHER_CPU
    least = {group: share * ratio for group, ratio in entry["measured"].items()}
    return Limits(least, f"{share:.0%} of {path.name}", entry["versions"])


def baseline(path: Path) -> Limits:
    """The minima that a run saved by ``save`` implies.

    Raises:
        SparsenetError: the file is not there, not such a run, or from another CPU.
    """
    try:
        record = strict_json.read(path)
        ratios = {group: Ratio(**entry["ratio"]) for group, entry in record["groups"].items()}
        least = {group: (1 - LOST) * ratio.surely_above for group, ratio in ratios.items()}
        measured_with = {str(name): str(value) for name, value in record["versions"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise SparsenetError(
            f"{path}: not a run saved with --speed-save ({type(error).__name__}: {error})"
        ) from error
    for name in ("cpu", "lanes"):
        if measured_with.get(name) != versions()[name]:
            raise SparsenetError(
                f"{path} was measured on {name} {measured_with.get(name)}, this is {versions()[name]}: "
                "save a new run here"
            )
    return Limits(least, str(path), measured_with)


def save(path: Path, groups: dict[str, dict[str, Any]]) -> None:
    """Write a run: group → ``{"ratio": fields of Ratio, ...}``."""
    write_atomically(path, json.dumps({"versions": versions(), "groups": groups}, indent=2).encode())


def record(measured: dict[str, float], path: Path = EXPECTED) -> None:
    """Write ``measured`` as what is expected of this kind of CPU, those of others kept."""
    table = tomllib.loads(path.read_text()) if path.exists() else {}
    entry = table.setdefault(host().name, {"measured": {}})
    entry["measured"] |= measured
    entry["versions"] = versions()
    lines = [
        "# Speed-ups as measured (`python -m bench.gate.trial --record`); the gate asks for a share of them."
    ]
    for target, parts in sorted(table.items()):
        for part in ("measured", "versions"):
            lines += ["", f"[{target}.{part}]"]
            lines += [f"{json.dumps(key)} = {_value(value)}" for key, value in parts[part].items()]
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def _value(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
