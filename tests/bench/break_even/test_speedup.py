"""Where sparse kernels begin to pay: a ratio for every layer and sparsity."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from bench.break_even.__main__ import main


def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    words = ["--only", "1x1 512-512 @14", "--sparsity", "0.5", "0.9", "--rounds", "3", "--json", str(out)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    record = json.loads(out.read_text())
    assert [found["sparsity"] for found in record["speedups"]] == [0.5, 0.9]
    assert all(found["speedup"] is None or found["speedup"] > 0 for found in record["speedups"])
    assert done.stdout.splitlines()[0].split() == ["layer", "50", "%", "90", "%"]
