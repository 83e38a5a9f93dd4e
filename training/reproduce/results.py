"""What a cell leaves behind: a JSON file of plain values, whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparsenet.errors import DataError
from sparsenet.io import strict_json
from sparsenet.text.table import to_json
from training.report.files import write_text

Result = dict[str, Any]


def write_result(path: Path, result: Result) -> None:
    """Write ``result`` as JSON; DataError if the folder cannot be written to."""
    write_text(path, to_json(result) + "\n")


def read_result(path: Path) -> Result:
    """Read what ``write_result`` wrote; DataError if it is missing or damaged."""
    try:
        result: Result = strict_json.read(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the result {path}: {error}") from None
    return result
