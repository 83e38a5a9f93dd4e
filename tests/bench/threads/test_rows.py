"""Several threads beside other load: every load, and what a row holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench.threads import rows
from bench.threads.__main__ import NAMES, main
from bench.threads.loads import load_named
from bench.threads.rows import beside_loads
from tests.sparsenet.sample_graphs import tiny_graph


@pytest.mark.parametrize("name", NAMES)
def test_every_load_begins_and_ends(name: str, tmp_path: Path) -> None:
    load = load_named(name, tiny_graph(), tmp_path)
    with load.beside(1):
        load.before_each()


def test_a_load_that_cannot_be_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = rows.load_named

    def load(name: str, *rest: object) -> object:
        if name == "spinning pool":
            raise ImportError
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(rows, "load_named", load)
    (row,) = beside_loads(tiny_graph(), 2, ["nothing", "spinning pool"], 0.01)
    assert row.load == "nothing"
    assert row.ratio == row.more / row.one > 0
    assert "no spinning pool" in capsys.readouterr().err


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.subjects.networks.build_graph", lambda _: tiny_graph())
    out = tmp_path / "out.json"
    words = [
        "--model",
        "maskcnn",
        "--seconds",
        "0.02",
        "--load",
        "nothing",
        "--load",
        "1 b",
        "--json",
        str(out),
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    record = json.loads(out.read_text())
    assert (record["model"], record["sparsity"]) == ("maskcnn", 0.9)
    assert [row["load"] for row in record["rows"]] == ["nothing", "1 busy"]
    assert np.all([row["median"] > 0 for row in record["rows"]])
    assert "maskcnn at 90% zeros, means over 0.02 s" in done.stdout
