"""How results leave a command: tables on standard output, JSON files, a bar on standard error meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from sparsenet.io.files import write_output
from sparsenet.text.table import to_json


def plain(value: Any) -> Any:
    """``value`` with every dataclass in it, at any depth of lists, tuples and dictionaries, as a dictionary."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def write_json(path: Path | None, record: Any) -> None:
    """Write ``record`` as JSON, dataclasses as their fields, unless ``path`` is None; InputError if that fails."""
    if path is not None:
        write_output(path, to_json(plain(record)).encode())


def markdown_table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table as Markdown has it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def bar(total: int | None, unit: str, *, quiet: bool = False, leave: bool = True) -> Any:
    """A progress bar on standard error if that is a terminal, to be entered.

    Its ``update(n)`` and ``set_description(text)`` move it.
    """
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, file=sys.stderr, disable=quiet or None, leave=leave)


def move(progress: Any, done: int, total: int) -> None:
    """Show on a bar that ``done`` of ``total`` are done."""
    progress.total = total
    progress.update(done - progress.n)
