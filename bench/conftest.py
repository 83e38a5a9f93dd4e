"""Benchmarks and the gate share the plugin that times pairs; benchmarks take their grid from the command line."""

from __future__ import annotations

import pytest

from sparsenet.targets.cpu.runtime.threads import available_cpus

pytest_plugins = ["bench.gate.plugin"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The grid's options."""
    grid = parser.getgroup("grid", "what benchmarks are run with, comma-separated")
    for option, kind, default, what in (
        ("--sparsities", numbers, "0.5,0.8,0.9,0.95", "fractions of zeros"),
        ("--thread-counts", whole_numbers, "1", "threads"),
        ("--batches", whole_numbers, "1", "images at a time"),
    ):
        grid.addoption(option, type=kind, default=default, help=f"{what} (default: %(default)s)")


def numbers(text: str) -> list[float]:
    """What stands between commas."""
    return [float(word) for word in text.split(",")]


def whole_numbers(text: str) -> list[int]:
    """Likewise."""
    return [int(word) for word in text.split(",")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The fixtures ``sparsity``, ``threads`` and ``batch`` run over the grid."""
    config = metafunc.config
    for name, option in (
        ("sparsity", "--sparsities"),
        ("threads", "--thread-counts"),
        ("batch", "--batches"),
    ):
        if name in metafunc.fixturenames:
            values = config.getoption(option)
            metafunc.parametrize(name, values, ids=[f"{name}={value}" for value in values])


@pytest.fixture(autouse=True)
def _thread_parity(request: pytest.FixtureRequest) -> None:
    """More threads than CPUs measure nothing."""
    threads = request.node.callspec.params.get("threads", 1) if hasattr(request.node, "callspec") else 1
    if threads > available_cpus():
        pytest.skip(f"{threads} threads need as many CPUs; this process may use {available_cpus()}")
