"""Benchmarks and the gate share the plugin that times pairs; benchmarks take their grid from the command line."""

from __future__ import annotations

import pytest

from sparsenet.targets.cpu.runtime.threads import available_cpus

pytest_plugins = ["bench.gate.plugin"]


def pytest_addoption(parser: pytest.Parser) -> None:
    grid = parser.getgroup("grid", "what benchmarks are run with, comma-separated")
    grid.addoption(
        "--sparsities", default="0.5,0.8,0.9,0.95", help="fractions of zeros (default: %(default)s)"
    )
    grid.addoption("--thread-counts", default="1", help="threads (default: %(default)s)")
    grid.addoption("--batches", default="1", help="images at a time (default: %(default)s)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The fixtures ``sparsity``, ``threads`` and ``batch`` run over the grid."""
    config = metafunc.config
    for name, option, kind in (
        ("sparsity", "--sparsities", float),
        ("threads", "--thread-counts", int),
        ("batch", "--batches", int),
    ):
        if name in metafunc.fixturenames:
            try:
                values = [kind(word) for word in config.getoption(option).split(",")]
            except ValueError as error:
                raise pytest.UsageError(f"{option} takes numbers, comma-separated: {error}") from None
            metafunc.parametrize(name, values, ids=[f"{name}={value}" for value in values])


@pytest.fixture(autouse=True)
def _thread_parity(request: pytest.FixtureRequest) -> None:
    """More threads than CPUs measure nothing."""
    threads = request.node.callspec.params.get("threads", 1) if hasattr(request.node, "callspec") else 1
    if threads > available_cpus():
        pytest.skip(f"{threads} threads need as many CPUs; this process may use {available_cpus()}")
