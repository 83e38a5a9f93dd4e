"""Dense layers against ONNX Runtime's: chained where they can be, and the figures of one layer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.dense_shapes.__main__ import main
from bench.dense_shapes.race import SHAPES, race
from bench.subjects.chain import chain, convolution


def test_names_are_distinct_and_need_no_network() -> None:
    names = [shape.name for shape in SHAPES]
    assert len(set(names)) == len(names)
    assert "3x3 64-64 @56" in names


def test_a_chain_leads_from_each_layer_to_the_next() -> None:
    layer = convolution(3, 8, 12, 3, 2)
    graph = chain([layer, convolution(8, 5, 6)], averages=True)
    graph.verify()
    assert graph.shapes()[graph.outputs[0]] == (None, 5, 1, 1)
    assert layer.flops == 2 * 3 * 8 * 9 * 6 * 6


@pytest.mark.parametrize("layer", [convolution(16, 32, 12), convolution(3, 16, 16, 3, 2)])
def test_both_engines_are_timed(layer) -> None:  # type: ignore[no-untyped-def]
    pair = race(layer, 3)
    assert pair.layer == layer.name
    assert pair.tiles.startswith("v")


def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = CliRunner().invoke(main, ["--only", "1024-1024 @7", "--rounds", "3", "--json", str(out)])
    assert done.exit_code == 0, done.output
    (layer,) = json.loads(out.read_text())["layers"]
    assert layer["layer"] == "1x1 1024-1024 @7"
    assert layer["speedup"] == pytest.approx(layer["ort_ms"] / layer["ours_ms"])
    assert "1x1 1024-1024 @7" in done.stdout
