"""How results leave a command."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.measure.output import markdown_table, plain, write_json
from sparsenet.errors import InputError


@dataclass
class Point:
    x: float
    inner: tuple[int, ...] = ()


def test_dataclasses_become_their_fields_at_any_depth() -> None:
    assert plain({"a": [Point(1.0, (2,))], "b": (Point(3.0),)}) == {
        "a": [{"x": 1.0, "inner": (2,)}], "b": [{"x": 3.0, "inner": ()}]
    }  # fmt: skip


def test_json_is_written_where_a_file_is_named(tmp_path: Path) -> None:
    write_json(None, {"a": 1})
    assert not list(tmp_path.iterdir())
    write_json(tmp_path / "out.json", {"points": [Point(float("nan"))]})
    assert json.loads((tmp_path / "out.json").read_text()) == {"points": [{"x": None, "inner": []}]}
    with pytest.raises(InputError, match="cannot be written"):
        write_json(tmp_path / "none" / "out.json", {})


def test_markdown() -> None:
    assert markdown_table(["a", "b"], [[1, "x"]]) == "| a | b |\n| --- | --- |\n| 1 | x |"
