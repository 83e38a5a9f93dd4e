"""Rows as aligned plain text, as JSON and as HTML: the ways in which they are shown everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sparsenet.text.one_line import one_line


def render(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under a header, columns aligned: numbers to the right, words to the left.

    Floats show four significant digits, thousands are grouped (1,234), ``None`` is a dash; text is put on one line.
    """
    text, numeric = _cells(header, rows)
    widths = [max(len(row[i]) for row in text) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in text
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def render_html(header: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """The same rows as an HTML table, every character of theirs as text; ``caption`` stands above."""
    from html import escape  # not on the way to the first inference

    text, numeric = _cells(header, rows)
    sides = [f' style="text-align: {"right" if right else "left"}"' for right in numeric]
    lines = [
        "".join(f"<{tag}{side}>{escape(cell)}</{tag}>" for cell, side in zip(row, sides, strict=True))
        for tag, row in zip(["th", *["td"] * (len(text) - 1)], text, strict=True)
    ]
    head, *body = (f"<tr>{line}</tr>" for line in lines)
    title = f'<caption style="text-align: left">{escape(one_line(caption))}</caption>' if caption else ""
    return "\n".join([f"<table>{title}<thead>{head}</thead><tbody>", *body, "</tbody></table>"])


def to_json(value: Any) -> str:
    """``value`` as indented JSON; NumPy numbers and arrays become plain ones, NaN and infinity ``null``.

    What is not printable inside its strings is escaped, as JSON may.
    """
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    return _SUSPECT.sub(_as_json_escape, text)


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape as it is read aloud: ``N×3×256×256``."""
    return "×".join("N" if size is None else str(size) for size in shape)


def _cells(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> tuple[list[list[str]], list[bool]]:
    """Header and rows as text, and which columns are numbers."""
    table = [list(row) for row in rows]
    numeric = [
        any(_is_number(row[i]) for row in table)
        and all(row[i] is None or _is_number(row[i]) for row in table)
        for i in range(len(header))
    ]
    text = [[one_line(name) for name in header], *([_cell(value) for value in row] for row in table)]
    return text, numeric


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        value = float(value)
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return one_line(str(value))


_SUSPECT = re.compile(r"[^\x20-\x7e\n]")


def _as_json_escape(match: re.Match[str]) -> str:
    character = match.group()
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
