"""Networks quantized in part: every way is one, and its figures are those of the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.mixed import files
from bench.mixed.__main__ import main
from bench.mixed.ways import KEPT, WEIGHTS_ONLY, in_part
from sparsenet.graph import Graph
from sparsenet.graph.integer import integer_nodes
from tests.converters.passes.networks import Net


def network() -> Graph:
    net = Net((3, 16, 16))
    x = net.conv("x", 16, 3)
    for _ in range(5):
        x = net.conv(x, 16, 3)
    return net.graph(x)


def test_every_way_keeps_other_layers() -> None:
    graph = network()
    count = {}
    for way in (*KEPT, WEIGHTS_ONLY):
        quantized = in_part(graph, way)
        if quantized is None:
            assert "depthwise" in way or "drawn" in way
        else:
            count[way] = len(integer_nodes(quantized, quantized.shapes()))
    assert count["none"] == 6
    assert count[WEIGHTS_ONLY] == 0
    assert count["first half"] == count["second half"] == 3
    assert count["first and last"] == 4


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.subjects.networks.build_graph", lambda _: network())
    monkeypatch.setattr(files, "SIZE", 6)
    out = tmp_path / "out.json"
    arguments = ["--models", "mobilenetv1", "--sparsity", "0.5", "--rounds", "3", "--json", str(out)]
    rows = []
    for part in ("first half", "softmax"):
        done = CliRunner().invoke(main, [*arguments, "--part", part])
        assert done.exit_code == 0, done.output
        (found,) = json.loads(out.read_text())["networks"]
        rows.append(done.stdout.splitlines()[-1])
        assert f" | {found['float32_ms']:.2f} | {found['mixed_ms']:.2f} | " in rows[-1]
    assert rows[0].startswith("| mobilenetv1 | 50% | first half | 3 of 6 | ")
    assert rows[1].startswith("| QDQ file | 50% | softmax | ")
