"""This project's engine, with its choice of kernels and with dense kernels only; chosen by measurement (``tune``).

In int8 it reads the QDQ file that others get, as a user's would be, with the order of channels that ``convert`` writes.
On a GPU, too, from NumPy array to NumPy array: its time holds the copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.engines.session import Array, EngineMissing, Network, Session
from sparsenet import Engine
from sparsenet.errors import DeviceError, MissingExtraError


def prepare_sparse(network: Network, threads: int) -> Session:
    """Sparse kernels where they are faster."""
    return _on_cpu(network, threads, sparse=True)


def prepare_dense(network: Network, threads: int) -> Session:
    """Dense kernels only."""
    return _on_cpu(network, threads, sparse=False)


def prepare_int8(network: Network, threads: int) -> Session:
    """The network with the grids it came with, or as the QDQ file; raises EngineMissing where nobody can write that."""
    from converters import from_onnx
    from converters.passes import permute_channels

    graph = network.quantized or from_onnx(network.int8_path("qdq", "batch_norm"))
    engine = Engine(permute_channels(graph), threads, tune=True)
    return Session(_run(engine), engine.close, engine)


def prepare_cuda(network: Network, _threads: int) -> Session:
    """Sparse kernels on a GPU; raises EngineMissing where there is none, or it lacks an operation."""
    return _on_gpu(network, sparse=True)


def prepare_cuda_dense(network: Network, _threads: int) -> Session:
    """Dense kernels on a GPU; raises EngineMissing likewise."""
    return _on_gpu(network, sparse=False)


def _on_cpu(network: Network, threads: int, sparse: bool) -> Session:
    engine = Engine(network.graph, threads, sparse=sparse, tune=True)
    return Session(_run(engine), engine.close, engine)


def _on_gpu(network: Network, sparse: bool) -> Session:
    try:
        engine = Engine(network.graph, sparse=sparse, device="cuda")
    except (DeviceError, MissingExtraError) as error:
        raise EngineMissing(str(error)) from error
    return Session(_run(engine), engine.close)


def _run(engine: Engine) -> Callable[[Array], Sequence[Array]]:
    def run(x: Array) -> Sequence[Array]:
        outputs = engine(x)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    return run
