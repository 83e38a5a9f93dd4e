"""JSON from strangers: what the standard allows is read, and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sparsenet.io import strict_json


@pytest.mark.parametrize("value", [None, True, [1, -(2**63), 2**64 - 1], {"a": {"b": 1.5e300}}, "\u202e", []])
def test_what_is_json_is_read(tmp_path: Path, value: object) -> None:
    text = json.dumps(value)
    assert strict_json.parse(text) == value
    (tmp_path / "x.json").write_text(text)
    assert strict_json.read(tmp_path / "x.json") == value


@pytest.mark.parametrize(
    "text, message",
    [
        ("NaN", "NaN is not JSON"),
        ('{"a": [-Infinity]}', "-Infinity is not JSON"),
        ("1e999", "beyond float64"),
        ("-" + "1" * 400 + ".0", "beyond float64"),
        ("18446744073709551616", "beyond 64 bits"),
        ("-9223372036854775809", "beyond 64 bits"),
        ("1" * 100_000, "beyond 64 bits"),
        ('{"a": 1, "a": 2}', "appears twice"),
        ('[{"a": {"b": 1, "c": 2, "b": 1}}]', "appears twice"),
        ("[" * 1_000_000, "too deep"),
        ('{"a":' * 1_000_000, "too deep"),
        ("", "Expecting value"),
        ("[1] [2]", "Extra data"),
        (b"\xff\xfe\x00", "codec can't decode"),
        ('"\n"', "control character"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_not_json_is_a_value_error(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        strict_json.parse(text)
    assert len(str(caught.value)) < 200


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(ValueError, match="more than the limit"):
        strict_json.read(path)
    path.write_text(" " * 5000 + "1")
    assert strict_json.read(path) == 1
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "100K")
    with pytest.raises(ValueError, match="more than the limit of 3200"):
        strict_json.read(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        strict_json.read(tmp_path / "pipe")
