"""Milliseconds of the demo's students, as docs/results.md has them."""

from __future__ import annotations

from collections.abc import Iterator

from bench.speed_table.figures import table_of
from bench.speed_table.picture.svg import BAR, MARGIN, bar, page, text
from sparsenet.errors import InputError

#: How the table begins, and its columns of milliseconds.
TABLE = "| | zeros | accuracy | macro F1 | file, i8 |"
ENGINES = {"PyTorch": "others", "engine dense": "others", "engine sparse": "ours"}
#: Rows of one student: the pictures' titles.
STUDENTS = {"… distilled": "Distilled", "… distilled and pruned": "Distilled and pruned"}
TOP, LABEL, LONGEST = 50, 142, 370


def figures(page_text: str) -> dict[str, dict[str, str]]:
    """Title → engine → milliseconds, as they are written.

    Raises:
        InputError: the page has no such table.
    """
    try:
        header, *rows = table_of(TABLE + page_text.partition(TABLE)[2])
        found = {}
        for first, title in STUDENTS.items():
            row = dict(zip(header, next(row for row in rows if row[0] == first), strict=True))
            zeros = "" if row["zeros"] == "0 %" else f", {row['zeros']} zeros"
            told = {engine: row[engine].removesuffix(" ms") for engine in ENGINES if row[engine] != "–"}
            found[title + zeros] = {engine: ms for engine, ms in told.items() if float(ms) > 0}
        return found
    except (KeyError, StopIteration, ValueError) as error:
        raise InputError("no milliseconds of the demo's students, as docs/results.md has them") from error


def draw(found: dict[str, dict[str, str]]) -> str:
    """SVG: a panel for each student, a bar for each engine."""
    longest = max(float(ms) for of_student in found.values() for ms in of_student.values())
    lines, y = [text(MARGIN, 34, "Milliseconds for an image, one CPU thread", "title")], TOP
    for title, of_student in found.items():
        lines += _panel(y, title, of_student, LONGEST / longest)
        y += 52 + BAR * len(of_student)
    return page(y, "Milliseconds for an image: PyTorch, the engine dense, the engine sparse", lines)


def _panel(top: int, title: str, of_student: dict[str, str], scale: float) -> Iterator[str]:
    yield text(MARGIN, top + 24, title.replace(" %", "\N{NO-BREAK SPACE}%"), "name")
    for y, (engine, ms) in enumerate(of_student.items()):
        base, width = top + 38 + y * BAR, max(2, round(float(ms) * scale))
        yield text(MARGIN, base + BAR - 12, engine)
        yield bar(MARGIN + LABEL, base, width, ENGINES[engine])
        yield text(MARGIN + LABEL + width + 7, base + BAR - 12, f"{ms} ms")
