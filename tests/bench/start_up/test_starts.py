from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.start_up.__main__ import main
from bench.start_up.programs import PHASES
from bench.start_up.starts import run
from sparsenet.errors import SparsenetError


@pytest.mark.slow
def test_it_starts_every_engine_in_processes_of_their_own(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    words = ["--model", "minixception-128", "--size", "48", "--rounds", "2", "--json", str(out)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    starts = {start["what"]: start for start in json.loads(out.read_text())}
    assert list(starts) == ["model file", "bundle", "ONNX Runtime"]
    for start in starts.values():
        parts = sum(start["least"][phase] for phase in PHASES[:4])
        assert 0 < parts <= start["least"]["wall"] * 1.001
        assert all(start["least"][phase] <= start["seconds"][phase] for phase in PHASES)
    assert not starts["model file"]["numba"]
    assert not starts["bundle"]["numba"]
    assert "median of 2 cold processes" in done.stdout


def test_a_process_that_fails_is_an_error_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(SparsenetError, match=r"starting on m\.onnx failed: ValueError: no"):
        run("raise ValueError('no')", tmp_path, "m.onnx")
