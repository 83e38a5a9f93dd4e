"""The table on the terminal."""

from __future__ import annotations

import re

from training.report.console import console_table
from training.report.findings import findings, headline
from training.report.model import Report


def test_every_stage_measurement_and_finding_is_there(report: Report) -> None:
    lines = console_table(report).splitlines()
    assert lines[0] == headline(report)
    [row] = [line for line in lines if re.match(r"Distilled \+ pruned +80 %", line)]
    cells = ["80", "%", "91.0", "89.0", "90.0", "70,000", "1,189×", "0.90/0.76/0.92/1004×"]
    assert re.split(" +", row)[3:] == cells
    [row] = [line for line in lines if line.startswith("Distilled + pruned, int8")]
    assert re.split(" +", row)[4:] == [
        "80",
        "%",
        "90.0",
        "88.0",
        "89.0",
        "60,000",
        "1,388×",
        *cells[7:],
    ]
    [row] = [line for line in lines if re.match(r"Distilled \+ pruned +3.000", line)]
    assert re.split(" +", row)[4:8] == ["2.500", "1.000", "0.800", "0.500"]
    teacher = next(line for line in lines if line.startswith("Teacher"))
    assert re.split(" +", teacher)[1:6] == ["0", "%", "98.0", "96.0", "97.0"]
    for found in findings(report):
        assert f"• {found.topic}: {found.text}" in lines


def test_columns_line_up(report: Report) -> None:
    lines = console_table(report).splitlines()
    head, rows = lines[2], lines[4:9]
    edge = head.index("accuracy") + len("accuracy")
    assert [row[edge - 4 : edge] for row in rows] == ["98.0", "89.0", "84.0", "93.0", "91.0"]
