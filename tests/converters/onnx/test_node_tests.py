"""ONNX's node tests pass as docs/onnx_operators.md says, and are excluded for the reasons it gives."""

from __future__ import annotations

import math

import pytest

from tests.converters.onnx.node_tests import FILES, cases, run_case
from tests.converters.onnx.operators import PATH, operator_of, rows_of
from tests.full import FULL

#: Of an operator with more tests than this, the short suite runs as many at most: every second, or third, ...
MANY = 8
#: One of as many runs in the engine, all in the oracle.
SHARE = 1 if FULL else 8


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_the_page_is_true(file: str) -> None:
    lines = PATH.read_text().splitlines()
    operator = operator_of(file)
    on_page = [line for line in lines if line.startswith(f"* **{operator}**:")]
    if FULL or len(cases(file)) <= MANY:
        row, excluded = rows_of(file, SHARE)
        assert [line for line in lines if line.startswith(f"| {operator} |")] == [row]
        assert on_page == excluded
        return
    for number, case in enumerate(cases(file)[:: math.ceil(len(cases(file)) / MANY)]):
        outcome = run_case(case, number % SHARE == 0)
        reasons = [line for line in on_page if f"`{case.name.removeprefix('test_')}`" in line]
        wanted = [f"* **{operator}**: {outcome.reason}: "] if outcome.way == "excluded" else []
        assert len(reasons) == len(wanted)
        assert all(line.startswith(start) for line, start in zip(reasons, wanted, strict=True))


def test_the_totals_are_the_sums_of_their_columns() -> None:
    table = [line.split("|")[1:-1] for line in PATH.read_text().splitlines() if line.startswith("| ")][1:]
    *rows, total = [[cell.strip(" *") for cell in row] for row in table]
    assert len(rows) == len(FILES)
    for column in range(1, 6):
        assert sum(int(row[column]) for row in rows) == int(total[column])
    for row in rows:
        assert int(row[1]) == sum(int(cell) for cell in row[2:])
