"""What tests of commands that prune without labels begin with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparsenet import save
from sparsenet.latency import table
from tests.converters.pruning.networks import network, samples


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Model and inputs, on a machine of which nothing is known."""
    monkeypatch.setattr(table.cache, "kept", lambda *_: None)
    save(network(), tmp_path / "dense.safetensors")
    np.save(tmp_path / "x.npy", samples(24))
    return [tmp_path / "dense.safetensors", "--calibrate", tmp_path / "x.npy", "--threads", 1]
