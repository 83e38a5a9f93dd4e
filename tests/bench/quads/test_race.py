from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from bench.quads import race
from bench.quads.__main__ import main
from sparsenet.targets.host import host
from sparsenet.targets.registry import Kernel


def test_a_flattened_convolution_is_the_convolution() -> None:
    """Of a pixel in the middle; rows of the map follow each other at the pitch."""
    conv = race.convolution(race.Layer(8, 4, 3, 6, 0.5, False), 4)
    conv.call(Kernel("u8x4_conv_csr_rows", 4, (1, 1, host().dot)), conv.csr())()
    pixels = conv.source.pixels[:, 0].view(np.uint8).reshape(2, -1, 4).transpose(0, 2, 1).reshape(8, -1)
    y, x = 3, 2
    window = np.stack([[pixels[:, (y + i) * conv.pitch + x + j] for j in range(3)] for i in range(3)])
    sums = (conv.weight.astype(np.int64) * window.transpose(2, 0, 1)).sum(axis=(1, 2, 3))
    expected = np.clip(np.rint(sums.astype(np.float32) * conv.scale), 0, 255)
    assert (conv.result()[:, 0, y * conv.pitch + x] == expected).all()


def test_blocks_are_whole_quads() -> None:
    layer = race.Layer(16, 16, 1, 4, 0.5, True)
    zero = race.convolution(layer, 4).weight.reshape(16, 4, 4) == 0
    assert 0.3 < zero.all(axis=2).mean() < 0.7
    # A weight that is kept may be rounded to zero, too.
    assert (zero.all(axis=2) != zero.any(axis=2)).mean() < 0.1


def test_every_family_has_a_rate(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("bench.quads.__main__.SHAPES", [(1, 1, 1, 1), (8, 8, 1, 4)])
    monkeypatch.setattr(race, "TILES", dict.fromkeys(race.TILES, (1,)))
    out = tmp_path / "out.json"
    result = CliRunner().invoke(main, ["--quick", "--lanes", "4", "--rounds", "3", "--json", str(out)])
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())["rates"]
    assert {rate["family"] for rate in found} == {"dense", "pattern", "csr"}
    assert all(rate["gops"] > 0 for rate in found)
    assert "8→8 1×1 @4" in result.output
