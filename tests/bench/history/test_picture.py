"""Records over time: whose curve a row belongs to, and a picture of them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.history.picture import curves, draw
from bench.model.baseline import Baseline, cell_of
from bench.model.results import Result


def record(day: int, yardsticks: float | None, cpu: str = "EPYC", name: str = "net") -> Baseline:
    values: dict[str, Any] = dict.fromkeys((field.name for field in dataclasses.fields(Result)), 0)
    values |= {
        "engine": "ours",
        "sparsity": 0.9,
        "block": "1x1",
        "threads": 1,
        "batch": 1,
        "yardsticks": yardsticks,
    }
    values |= (
        {}
        if yardsticks is None
        else {"yardsticks_low": 0.98 * yardsticks, "yardsticks_high": 1.02 * yardsticks}
    )
    row = Result(**values)
    versions = {"cpu": cpu, "commit": f"commit{day}"}
    return Baseline({cell_of(row): row}, ("ours",), versions, datetime(2026, 1, day, tzinfo=UTC), name)


RECORDS = [
    record(3, 1.0),
    record(1, 2.0),
    record(2, None),
    record(4, 5.0, "Xeon"),
    record(5, 2.5),
    record(6, 9.0, name="other"),
]


def test_a_curve_is_of_one_network_and_processor_and_begins_at_one() -> None:
    epyc, xeon, other = curves(RECORDS).items()
    assert [key[::2] for key, _ in (epyc, xeon, other)] == [
        ("net", "EPYC"),
        ("net", "Xeon"),
        ("other", "EPYC"),
    ]
    assert [point[:2] for point in epyc[1]] == [
        (0, 1.0),
        (2, 2.0),
        (4, 0.8),
    ]  # by age; the noisy one is a gap
    assert xeon[1][0][1] == other[1][0][1] == 1.0
    number, speed, low, high = epyc[1][1]
    assert (number, low, high) == (2, pytest.approx(speed / 1.02), pytest.approx(speed / 0.98))


def test_the_picture_names_every_record() -> None:
    picture = draw(RECORDS)
    assert picture.startswith(b"<?xml")
    for text in (b"EPYC", b"Xeon", b"commit4", b"net, ours, sparse, 90% zeros"):
        assert text in picture
