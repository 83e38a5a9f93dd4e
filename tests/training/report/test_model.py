"""report.json: what goes in comes out, and what is no report is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparsenet.errors import DataError
from training.report.model import Report, load_report, save_report


def test_round_trip(report: Report, tmp_path: Path) -> None:
    save_report(report, tmp_path / "report.json")
    assert load_report(tmp_path / "report.json") == report


def test_lookups(report: Report) -> None:
    assert report.stage("distilled").title == "Distilled"
    stored = report.file("distilled", "i8")
    assert stored is not None
    assert stored.bytes == 70_000
    assert report.file("distilled", "f8") is None
    assert report.speed.latency("distilled", "sparse") is None
    with pytest.raises(KeyError):
        report.stage("nothing")


def damaged(report: Report, tmp_path: Path, change: str) -> Path:
    path = tmp_path / "report.json"
    save_report(report, path)
    content = json.loads(path.read_text())
    if change == "version":
        content["format_version"] = 99
    elif change == "missing":
        del content["stages"]
    elif change == "list":
        content = [content]
    path.write_text(json.dumps(content)[: 100 if change == "cut" else None])
    return path


@pytest.mark.parametrize(
    "change, message",
    [
        ("version", "report version 99"),
        ("missing", "not a complete report"),
        ("list", "report version None"),
        ("cut", "not a readable report"),
    ],
)
def test_what_is_no_report_is_refused(report: Report, tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_report(damaged(report, tmp_path, change))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json"):
        load_report(tmp_path / "gone.json")


def test_a_folder_that_cannot_be_made_is_named(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        save_report(report, tmp_path / "file" / "report.json")
