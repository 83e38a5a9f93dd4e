"""A detector that finds faces in images: a network, its input size and normalisation, and the decoding."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

import sparsenet
from sparsenet.checks import items, real_number, shown, whole_number
from sparsenet.detection.decode import Decoder, Detections, check_outputs
from sparsenet.detection.image import letterbox, read_image
from sparsenet.detection.priors import MAX_SIDE, prior_boxes
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray
from sparsenet.io.image_file import require_pillow
from sparsenet.io.metadata import normalisation

if TYPE_CHECKING:
    from PIL.Image import Image

    from sparsenet.engine import Engine

#: float32 (1, 3, H, W) → boxes (1, P, 4), class logits (1, P, 2), landmarks (1, P, 10).
Network = Callable[[FloatArray], tuple[FloatArray, ...]]


class Detector:
    """Finds faces and five landmarks of each, in images of any size.

    An image is scaled to fit the network's input, keeping its aspect, and padded at the right or below: one plan of
    the engine serves every image.

    Args:
        network: an ``Engine``, or anything that maps inputs to outputs as one does.
        height, width: of its input, in pixels.
        mean, std: (3,) normalisation of RGB values in [0, 1].
        decoder: what to keep of its outputs.

    Raises:
        InputError: an argument has the wrong type or value.
    """

    def __init__(
        self,
        network: Network,
        height: int,
        width: int,
        mean: npt.ArrayLike,
        std: npt.ArrayLike,
        decoder: Decoder | None = None,
    ) -> None:
        if not callable(network):
            raise InputError(f"network must be an Engine or what is called like one, got {shown(network)}")
        self._priors = prior_boxes(height, width)
        self.network, self.decoder = network, _decoder(decoder)
        self.height, self.width = int(height), int(width)
        self.mean, self.std = _colour(mean, "mean"), _colour(std, "std")
        if not (self.std > 0).all():
            raise InputError("std must be positive")

    def __call__(self, image: Image, frame: tuple[int, int] | None = None) -> Detections:
        """The faces of an RGB image, best first.

        Args:
            image: its own pixels,
            frame: and the width and height it should have, where it is a stretched copy; faces are given in these.

        Raises:
            InputError: the image is none of Pillow's, or the frame is no pair of whole numbers from 1 on.
        """
        if not isinstance(image, require_pillow("detecting faces").Image):
            raise InputError(f"image must be one of Pillow's; detect() takes a path, got {shown(image)}")
        if frame is not None:
            sides = [whole_number(side, "frame", MAX_SIDE) for side in items(frame, "frame")]
            if len(sides) != 2:
                raise InputError(f"frame must be a width and a height, got {len(sides)} numbers")
        width, height = frame or image.size
        pixels, (x, y) = letterbox(image, self.height, self.width, self.mean, self.std, (width, height))
        boxes, logits, landmarks = (output[0] for output in self.network(pixels))
        found = self.decoder(boxes, logits, landmarks, self._priors)
        return found.rescaled(x, y).clipped(width, height)

    def detect(self, path: str | os.PathLike[str]) -> Detections:
        """The faces of an image file.

        Raises:
            InputError: it is missing or not a readable image.
            MissingExtraError: Pillow is not installed.
        """
        return self(read_image(path))


def detector_of(engine: Engine, decoder: Decoder | None = None) -> Detector:
    """A Detector around an engine.

    Raises:
        InputError: the engine's network is no face detector, or an argument has the wrong type.
        ModelFileError: its metadata are damaged.
    """
    decoder = _decoder(decoder)
    if not isinstance(engine, sparsenet.Engine):
        raise InputError(f"engine must be an Engine, got {shown(engine)}")
    if len(engine.inputs) != 1 or len(engine.inputs[0].shape) != 4 or engine.inputs[0].shape[1] != 3:
        raise InputError("this is no face detector: its input should be one RGB image")
    height, width = (int(side or 0) for side in engine.inputs[0].shape[2:])
    check_outputs([tuple(info.shape[1:]) for info in engine.outputs], height, width)
    mean, std = normalisation(engine.metadata)
    return Detector(lambda x: tuple(engine(x)), height, width, mean, std, decoder)


def load_detector(
    path: str | os.PathLike[str], threads: int | None = None, decoder: Decoder | None = None
) -> Detector:
    """Load a model file (or bundle) of a face detector; arguments and errors as ``sparsenet.load``.

    Raises:
        InputError: the model is no face detector.
    """
    decoder = _decoder(decoder)
    return detector_of(sparsenet.load(path, threads), decoder)


def _decoder(given: object) -> Decoder:
    if given is not None and not isinstance(given, Decoder):
        raise InputError(f"decoder must be a Decoder, got {shown(given)}")
    return given or Decoder()


def _colour(values: object, name: str) -> FloatArray:
    channels = values.tolist() if isinstance(values, np.ndarray) else items(values, name)
    if not isinstance(channels, Sequence) or len(channels) != 3:
        raise InputError(f"{name} must be three numbers, one for each colour, got {shown(values)}")
    return np.array([real_number(value, name, -math.inf) for value in channels], np.float32)
