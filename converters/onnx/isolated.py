"""onnx's C++ code in a process of its own: on a crafted model it may abort, and must not take us along.

Its shape inference, for one, stops the process at a Slice of a dimension that it has inferred to be negative.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import chain, starmap
from typing import IO, TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import onnx

SECONDS = 60.0


def infer_shapes(model: onnx.ModelProto) -> onnx.GraphProto | None:
    """The graph with the shapes that onnx infers, its initializers left out; None if it fails, crashes or hangs."""
    import onnx

    done = _apart(_infer_shapes, model.SerializeToString())
    return None if done is None else onnx.ModelProto.FromString(done).graph


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The model with its own functions written out; None if onnx fails, crashes or hangs."""
    import onnx

    done = _apart(_inline_functions, model.SerializeToString())
    return None if done is None else onnx.ModelProto.FromString(done)


def _infer_shapes(data: bytes) -> bytes:
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.ModelProto.FromString(data))
    del model.graph.initializer[:]
    return bytes(model.SerializeToString())


def _inline_functions(data: bytes) -> bytes:
    import onnx
    from onnx.inliner import inline_local_functions

    return bytes(inline_local_functions(onnx.ModelProto.FromString(data)).SerializeToString())


def _apart(work: Callable[[bytes], bytes], data: bytes) -> bytes | None:
    if hasattr(os, "fork"):
        return _forked(work, data)
    call = f"sys.stdout.buffer.write(isolated.{work.__name__}(sys.stdin.buffer.read()))"
    command = [sys.executable, "-c", f"import sys; from converters.onnx import isolated; {call}"]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, check=True)  # noqa: S603
    except subprocess.SubprocessError:
        return None
    return done.stdout


def _forked(work: Callable[[bytes], bytes], data: bytes) -> bytes | None:
    """Run in a copy of this process: a new one would import onnx first, which takes a hundred times as long."""
    # One chain of functions in C: no exception can come between a descriptor and the file that closes it.
    read, write = map(open, chain.from_iterable(starmap(os.pipe, [()])), ("rb", "wb"))
    child, answer, status = 0, None, -1
    with read, write:
        try:
            with _signals_wait(), warnings.catch_warnings():
                # The child runs one function and touches no lock of ours.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
                if child == 0:
                    _answer(work, data, read.fileno(), write)
            write.close()
            answer = _read_all(read.fileno(), time.monotonic() + SECONDS)
        finally:
            if child:
                if answer is None:
                    os.kill(child, signal.SIGKILL)
                _, status = os.waitpid(child, 0)
    return answer if status == 0 else None


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """A context in which no signal is delivered to this thread: a child forked here would take its handler for its own.

    A child that never leaves the block never gets one.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _answer(work: Callable[[bytes], bytes], data: bytes, read: int, pipe: IO[bytes]) -> NoReturn:
    """Write what ``work`` makes of ``data`` and end, in the child."""
    with contextlib.suppress(BaseException):
        faulthandler.disable()
        os.close(read)  # so that it ends where nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # an abort is noted here, not on the terminal
        pipe.write(work(data))
        pipe.flush()
        os._exit(0)
    os._exit(1)


def _read_all(descriptor: int, deadline: float) -> bytes | None:
    pieces: list[bytes] = []
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        piece = os.read(descriptor, 1 << 20)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
