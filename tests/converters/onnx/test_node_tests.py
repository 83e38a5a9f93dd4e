"""ONNX's node tests pass as docs/onnx_operators.md says, and are excluded for the reasons it gives."""

from __future__ import annotations

import pytest

from tests.converters.onnx.node_tests import FILES
from tests.converters.onnx.operators import PATH, operator_of, rows_of


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_the_page_is_true(file: str) -> None:
    row, excluded = rows_of(file)
    lines = PATH.read_text().splitlines()
    operator = operator_of(file)
    assert [line for line in lines if line.startswith(f"| {operator} |")] == [row]
    assert [line for line in lines if line.startswith(f"* **{operator}**:")] == excluded


def test_the_totals_are_the_sums_of_their_columns() -> None:
    table = [line.split("|")[1:-1] for line in PATH.read_text().splitlines() if line.startswith("| ")][1:]
    *rows, total = [[cell.strip(" *") for cell in row] for row in table]
    assert len(rows) == len(FILES)
    for column in range(1, 6):
        assert sum(int(row[column]) for row in rows) == int(total[column])
    for row in rows:
        assert int(row[1]) == sum(int(cell) for cell in row[2:])
