"""Settings every test shares: one thread for each test process, reproducible examples, the shared data."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# NumPy and PyTorch read these when they are imported, after this file: test processes run side by side, so each
# takes one core.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """``SPARSENET_GUARD=end`` (or ``start``, ``end2``, ``start2``) runs all kernels between guard pages."""
    side = os.environ.get("SPARSENET_GUARD")
    if side:
        from tests import guard_pages

        guard_pages.install(side)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that no process of ``make test`` works on one when the others have finished."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Frameworks and test modules stay to the end: no later garbage collection needs to walk through them.

    Compilers and tracers make so many objects that collecting as often as Python does would take a seventh of the time.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


# Examples are derived from each test's source, so a run can be repeated. No deadline: a kernel may be compiled
# inside an example.
settings.register_profile(
    "sparsenet",
    derandomize=True,
    deadline=None,
    max_examples=40,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("sparsenet")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it skip where it is not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist")
    return folder


@pytest.fixture(autouse=True)
def _no_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Command lines are tested without the settings of the person who runs the tests."""
    monkeypatch.delenv("SPARSENET_DEBUG", raising=False)
