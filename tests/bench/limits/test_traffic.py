from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from bench.limits.__main__ import main
from bench.limits.traffic import convolution


def test_the_arithmetic_is_the_same_wherever_memory_is() -> None:
    """At the same density the same operations are counted; more zeros share fewer loads."""
    loads = []
    for density in (0.5, 0.1):
        made = [
            convolution(density, inputs, outputs) for inputs in (False, True) for outputs in (False, True)
        ]
        assert len({operations for _, operations, _ in made}) == 1
        loads.append(made[0][2])
        for call, _, _ in made:
            call()
    assert 0.5 < loads[0] < loads[1] < 1.5
    assert np.isfinite(loads).all()


def test_it_prints_a_row_per_density(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = CliRunner().invoke(main, ["--rounds", "3", "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines()[2:5]] == ["80%", "90%", "95%"]
    rates = [row["gflops"] for row in json.loads(out.read_text())["densities"]]
    assert all(rate > 0 for row in rates for rate in row.values())
    assert list(rates[0]) == ["as it is", "outputs in L1", "inputs in L1", "both in L1"]
    assert "a vector written takes as long as" in result.output
