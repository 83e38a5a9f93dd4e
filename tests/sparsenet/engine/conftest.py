"""Vector lengths for the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sparsenet.targets.host import host


@pytest.fixture(params=[16, 8, 4])
def lanes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Plans are made for vectors of this length: every one that this CPU has."""
    if request.param > host().vector().lanes:
        pytest.skip("longer vectors than this CPU's")
    monkeypatch.setenv("SPARSENET_LANES", str(request.param))
    host.cache_clear()
    yield request.param
    monkeypatch.undo()
    host.cache_clear()
