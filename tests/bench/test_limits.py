from __future__ import annotations

import numpy as np
from click.testing import CliRunner

from bench.limits import convolution, main


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


def test_it_prints_a_row_per_density() -> None:
    result = CliRunner().invoke(main, ["--rounds", "3"])
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()[2:5]] == ["80%", "90%", "95%"]
    assert "a vector written takes as long as" in result.output
