"""Bytes of a network in both kinds of numbers, and the command that lists them."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from bench.memory.__main__ import main


def test_int8_takes_a_quarter_and_zeros_take_less(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    words = ["--models", "minixception-128", "--sparsity", "0", "0.8", "--size", "48", "--json", str(out)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "| minixception-128 | 80% 1x4 |" in done.stdout
    dense32, dense8, sparse32, sparse8 = json.loads(out.read_text())["sizes"]
    assert [one["numbers"] for one in (dense32, dense8, sparse32, sparse8)] == ["float32", "int8"] * 2
    for large, small in ((dense32, dense8), (sparse32, sparse8), (dense32, sparse32), (dense8, sparse8)):
        assert small["file_bytes"] < 0.7 * large["file_bytes"]
        assert small["working_bytes"] <= large["working_bytes"]
    assert 0 < dense8["working_bytes"] < 0.5 * dense32["working_bytes"]
    assert 0 < dense8["weight_bytes"] < 0.5 * dense32["weight_bytes"]
