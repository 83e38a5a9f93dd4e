"""What an engine gets, and what it gives back: a network in, something that answers and times itself out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench.subjects.inputs import example
from sparsenet import Graph
from sparsenet.errors import SparsenetError
from sparsenet.timing import Clock, Sample

if TYPE_CHECKING:
    from bench.engines.onnx_builder import Affine
    from bench.engines.onnx_quantizer import Int8Form
    from sparsenet import Engine

Array = npt.NDArray[np.float32]

#: How many images show an int8 engine the ranges of activations, and the seed of the first: none is measured with.
CALIBRATION_IMAGES, CALIBRATION_SEED = 24, 1_000_000


class EngineMissing(SparsenetError):  # noqa: N818 - where others are there it is left out, which is no failure
    """An outside engine is not installed, or cannot have this network; the text is the note to show in its place."""


class Network:
    """A graph of one input at a fixed batch, and on demand ONNX files of it; close it to delete them.

    Args:
        graph: what engines compute in float32, whether its tensors have grids or not.
        batch: images at a time.
        file: the ONNX file that it was read from; engines in int8 get this one if it is quantized.

    Attributes:
        graph: without grids.
        quantized: the graph as it was given, if it has grids.
    """

    def __init__(self, graph: Graph, batch: int = 1, file: Path | None = None) -> None:
        self.quantized = graph if graph.quantization else None
        self.graph = graph.copy()
        self.graph.quantization = {}
        self.batch = batch
        self._given = file if self.quantized else None
        self._folder: TemporaryDirectory[str] | None = None

    def example(self, seed: int = 0) -> Array:
        """Standard-normal input (batch, ...); MemoryLimitError if it is too large."""
        return example(self.graph.inputs, self.batch, seed)

    def calibration(self) -> Iterator[Array]:
        """The batches that show an int8 engine the ranges of activations."""
        for seed in range(CALIBRATION_SEED, CALIBRATION_SEED + -(-CALIBRATION_IMAGES // self.batch)):
            yield self.example(seed)

    def _file(self, name: str) -> Path:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="bench-")
        return Path(self._folder.name) / name

    def int8_path(self, form: Int8Form, affine: Affine) -> Path:
        """The network in int8 as an ONNX file: that of the user, or one made when first asked for.

        The same one for all affine forms where no scale and shift is left to be written.
        """
        if self._given:
            return self._as_given(self._given)
        source = self.onnx_path(affine)
        path = self._file(f"{form}-{hashlib.sha256(source.read_bytes()).hexdigest()}.onnx")
        if not path.exists():
            try:
                from bench.engines.onnx_quantizer import quantize_onnx
            except ModuleNotFoundError as error:
                raise EngineMissing(
                    "onnxruntime, which quantizes, is not installed: pip install onnxruntime"
                ) from error
            quantize_onnx(source, path, form, self.calibration())
        return path

    def _as_given(self, file: Path) -> Path:
        try:
            from bench.engines.onnx_given import with_sizes
        except ModuleNotFoundError as error:
            raise EngineMissing("onnx, which reads the file, is not installed: pip install onnx") from error
        sizes = [size or self.batch for size in self.graph.inputs[0].shape]
        return with_sizes(file, self._file("given.onnx"), sizes)

    def onnx_path(self, affine: Affine) -> Path:
        """The network as an ONNX file, written when first asked for."""
        path = self._file(f"{affine}.onnx")
        if not path.exists():
            try:
                from bench.engines.onnx_writer import write_onnx
            except ModuleNotFoundError as error:
                raise EngineMissing(
                    "onnx, which writes the file it reads, is not installed: pip install onnx"
                ) from error
            try:
                write_onnx(self.graph, path, self.batch, affine)
            except NotImplementedError as error:
                raise EngineMissing(f"the ONNX file it reads cannot be written: {error}") from error
        return path

    def close(self) -> None:
        """Delete the files."""
        if self._folder is not None:
            self._folder.cleanup()


class Session:
    """A network ready to run in one engine.

    Args:
        run: input → outputs in the order of the graph.
        close: gives back threads and processes.
        engine: if it is one of ours.
    """

    #: Whether the network runs in this process, so that its memory is seen from here.
    in_process = True

    def __init__(
        self,
        run: Callable[[Array], Sequence[Array]],
        close: Callable[[], None] = lambda: None,
        engine: Engine | None = None,
    ) -> None:
        self.run = run
        self.close = close
        self.engine = engine
        self._x: Array | None = None

    def __call__(self, x: Array) -> list[Array]:
        """Outputs for ``x``, which is kept as the input to be timed."""
        self._x = x
        return [np.asarray(y) for y in self.run(x)]

    def turn(self, clock: Clock) -> Sample:
        """Two inferences of the input last called with, of which the second is timed."""
        x = self._x
        assert x is not None, "call the session once before timing it"
        return clock.turn(lambda: self.run(x))


def session_turns(sessions: Mapping[str, Session], clock: Clock) -> dict[str, Callable[[], Sample]]:
    """What ``take_rounds`` asks for; each session was called once with its input."""
    return {name: partial(session.turn, clock) for name, session in sessions.items()}
