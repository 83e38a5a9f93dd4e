"""Layers that move data: every case is one that both engines compute."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.movement import race as module
from bench.movement.__main__ import main
from bench.movement.cases import cases
from bench.movement.race import race
from converters import from_onnx
from sparsenet.errors import SparsenetError


def test_names_are_distinct() -> None:
    names = [case.name for case in cases()]
    assert len(set(names)) == len(names) > 20


def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = CliRunner().invoke(main, ["ReLU of one", "--rounds", "3", "--json", str(out)])
    assert done.exit_code == 0, done.output
    header, _, row = done.stdout.splitlines()
    assert header == "| layer | ms | ONNX Runtime, ms | ratio |"
    (layer,) = json.loads(out.read_text())["layers"]
    figures = f"{layer['ours_ms']:.3f} | {layer['ort_ms']:.3f} | {layer['ratio']:.2f}"
    assert row == f"| a call alone: ReLU of one number | {figures} |"
    assert layer["ratio"] == pytest.approx(layer["ours_ms"] / layer["ort_ms"])


def test_a_wrong_result_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right, other = (case for case in cases() if case.name.startswith("space to depth"))
    monkeypatch.setattr(module, "from_onnx", lambda _: from_onnx(other.model()))
    monkeypatch.setattr(module, "interleaved", lambda *_: pytest.fail("it was timed"))
    with pytest.raises(SparsenetError, match="space to depth 2: outputs of 'ours' and 'ort' differ"):
        race(right, 3)
