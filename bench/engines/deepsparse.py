"""DeepSparse, in a process and an environment of its own: it needs an older Python and NumPy than this project.

``SPARSENET_DEEPSPARSE_PYTHON`` names the interpreter that has it (for instance ``…/deepsparse-venv/bin/python`` of a
virtual environment of Python 3.11 with ``pip install deepsparse==1.8.0``); without it, the current one is tried.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.engines.session import Array, EngineMissing, Network, Session
from sparsenet.errors import SparsenetError
from sparsenet.timing import PROCESS, WALL, Clock, Sample, clock

if TYPE_CHECKING:
    from bench.engines.onnx_quantizer import Int8Form

PYTHON_VARIABLE = "SPARSENET_DEEPSPARSE_PYTHON"
_INT8_FORMS: tuple[Int8Form, ...] = ("qoperator", "qoperator-symmetric", "qoperator-layers")
#: Runs of each form, of which the shortest counts.
_TRIES = 8
WORKER = Path(__file__).with_name("deepsparse_worker.py")


def prepare(network: Network, threads: int) -> Session:
    """Raises EngineMissing where no DeepSparse is found, SparsenetError where it refuses the network or dies."""
    return _WorkerSession(_Worker(network.onnx_path("mul_add"), network.batch, threads))


def prepare_int8(network: Network, threads: int) -> Session:
    """QLinear operators and one scale a weight, without which it makes no use of zeros: QDQ files it runs dense.

    Of three such files the fastest, by a few runs: at 80 to 90 % zeros MobileNetV1 and MiniXception are fastest with
    everything quantized, MaskCNN and ResNet-50 up to 2.7 times as fast otherwise.
    """
    sessions, x = list[_WorkerSession](), network.example()
    kind = PROCESS if threads == 1 else WALL
    try:
        for path in dict.fromkeys(network.int8_path(form, "mul_add") for form in _INT8_FORMS):
            sessions.append(_WorkerSession(_Worker(path, network.batch, threads)))
            sessions[-1](x)
        least = [min(session.turn(kind).seconds for _ in range(_TRIES)) for session in sessions]
        best = sessions.pop(least.index(min(least)))
    finally:
        for session in sessions:
            session.close()
    return best


class _Worker:
    """The process, and one question and answer at a time: a line of JSON, then arrays as plain bytes."""

    def __init__(self, path: Path, batch: int, threads: int) -> None:
        python = os.environ.get(PYTHON_VARIABLE, sys.executable)
        # Isolated: this folder must not be on the worker's path, it holds a module of the engine's name.
        command = [python, "-I", str(WORKER), str(path), str(batch), str(threads), clock.__file__]
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        pipe = subprocess.PIPE
        try:
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.log)  # noqa: S603
        except OSError as error:
            self.log.close()
            raise EngineMissing(f"{PYTHON_VARIABLE}={python} cannot be started: {error.strerror}") from error
        try:
            if self.read().get("missing"):
                raise EngineMissing(
                    f"deepsparse is not installed for {python}: set {PYTHON_VARIABLE} to the Python of an "
                    "environment with deepsparse==1.8.0"
                )
        except BaseException:
            self.close()
            raise

    def ask(self, question: dict[str, Any], *arrays: Array) -> dict[str, Any]:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # that it has ended is told by reading
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
            for array in arrays:
                self.process.stdin.write(np.ascontiguousarray(array).tobytes())
            self.process.stdin.flush()
        return self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            words = self.log.read().decode(errors="replace").strip().splitlines()
            raise SparsenetError(
                f"DeepSparse's process ended with exit code {self.process.wait()}; its last words: {words[-1:]}"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SparsenetError(f"DeepSparse: {answer['error']}")
        return answer

    def read_array(self, shape: list[int]) -> Array:
        assert self.process.stdout is not None
        count = 4 * int(np.prod(shape))
        return np.frombuffer(self.process.stdout.read(count), np.float32).reshape(shape)

    def close(self) -> None:
        """The worker ends when nothing more can be asked."""
        for stream in (self.process.stdin, self.process.stdout, self.log):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.process.wait()


class _WorkerSession(Session):
    """The worker keeps the input and times itself, so that no copy and no pipe is measured."""

    in_process = False

    def __init__(self, worker: _Worker) -> None:
        super().__init__(self._infer, worker.close)
        self.worker = worker

    def _infer(self, x: Array) -> list[Array]:
        answer = self.worker.ask({"do": "infer", "shape": list(x.shape)}, x)
        return [self.worker.read_array(shape) for shape in answer["shapes"]]

    def turn(self, clock: Clock) -> Sample:
        return Sample(*self.worker.ask({"do": "time", "clock": clock.key})["sample"])
