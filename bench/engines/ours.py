"""This project's engine, with its choice of kernels and with dense kernels only; chosen by measurement (``tune``)."""

from __future__ import annotations

from collections.abc import Sequence

from bench.engines.session import Array, Network, Session
from sparsenet import Engine


def prepare_sparse(network: Network, threads: int) -> Session:
    return _prepare(network, threads, sparse=True)


def prepare_dense(network: Network, threads: int) -> Session:
    return _prepare(network, threads, sparse=False)


def _prepare(network: Network, threads: int, sparse: bool) -> Session:
    engine = Engine(network.graph, threads, sparse=sparse, tune=True)

    def run(x: Array) -> Sequence[Array]:
        outputs = engine(x)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    return Session(run, engine.close, engine)
