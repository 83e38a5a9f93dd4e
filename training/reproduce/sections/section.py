"""What a section of the page holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.reproduce.figures import Picture
from training.reproduce.results import Result, read_result
from training.reproduce.tables import Table


@dataclass(frozen=True)
class Section:
    """A heading, what was found in a few sentences, tables and pictures."""

    key: str
    title: str
    intro: str
    findings: Sequence[str]
    tables: Sequence[Table]
    pictures: Sequence[Picture]


def latencies(folder: Path, family: str) -> dict[str, Result]:
    """Measurements of one family of networks by the stem of their model file."""
    found: dict[str, Result] = read_result(folder / "latency" / f"{family}.json")["networks"]
    return found
