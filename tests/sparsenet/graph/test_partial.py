"""Tensors whose length depends on the data: what cuts them, and what is written and read with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparsenet import TensorInfo, bundle, load, save
from sparsenet.graph import Partial
from sparsenet.graph.partial import cut
from tests.sparsenet.engine.test_choose import PICK, detector, feeds_of


def test_cut_takes_counts_as_they_come() -> None:
    """Whatever a network makes of its counts: no sample is longer than there is room, none shorter than nothing."""
    value = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    info = TensorInfo("y", (None, 2, 3), partial=Partial(2, "n"))
    counts = np.array([[2.0], [-5.0], [np.nan], [1e30]], np.float32)
    got = cut({"y": value, "n": counts}, [info])["y"]
    assert got.shape == (4, 2, 3)
    assert np.isfinite(got).sum(axis=2).tolist() == [[2, 2], [0, 0], [0, 0], [3, 3]]
    assert cut({"y": value[:2], "n": counts[:2]}, [info])["y"].shape == (2, 2, 2)
    assert np.isfinite(value).all(), "it works on a copy"


def test_files_and_bundles_keep_it(tmp_path: Path) -> None:
    graph, feeds = detector(PICK, ["y", "part"]), feeds_of(2)
    save(graph, tmp_path / "model.safetensors")
    engine = load(tmp_path / "model.safetensors", 1)
    wanted = engine.run(feeds)
    assert [info.name for info in engine.outputs] == ["y", "part"]
    assert {d.layer for d in engine.explain()} >= {"rows", "kept", "y"}
    bundle.save(engine.plan, tmp_path / "bundle", sparse=True, metadata={})
    packed = load(tmp_path / "bundle")
    assert packed.outputs == engine.outputs
    for name, value in packed.run(feeds).items():
        np.testing.assert_array_equal(value, wanted[name])
