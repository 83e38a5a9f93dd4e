"""Detectors and their parts with wrong arguments, one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from sparsenet.detection import Decoder, Detector, load_detector, non_maximum_suppression, prior_boxes
from sparsenet.detection.detector import detector_of
from tests.wrong_values import Argument, holds, table

SIZE, COLOUR = (32, 32), (0.5, 0.5, 0.5)
PRIORS = prior_boxes(*SIZE)
OUTPUTS = [np.zeros((len(PRIORS), count), np.float32) for count in (4, 2, 10)]


def network(_: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(array[None] for array in OUTPUTS)


def detector(**wrong: Any) -> Detector:
    right = {"network": network, "height": 32, "width": 32, "mean": COLOUR, "std": COLOUR}
    return Detector(**{**right, **wrong})


def decoded(position: int, value: Any) -> object:
    arrays: list[Any] = [*OUTPUTS, PRIORS]
    arrays[position] = value
    return Decoder()(*arrays)


ARGUMENTS = {
    "Decoder.min_score": Argument(lambda v: Decoder(min_score=v), "0, 0.5, 1"),
    "Decoder.iou": Argument(lambda v: Decoder(iou=v), "0, 0.5, 1"),
    "Decoder.candidates": Argument(lambda v: Decoder(candidates=v), "1"),
    "Decoder.faces": Argument(lambda v: Decoder(faces=v), "1"),
    **{
        f"Decoder().{name}": Argument(lambda v, position=position: decoded(position, v))
        for position, name in enumerate(("boxes", "logits", "landmarks", "priors"))
    },
    "prior_boxes.height": Argument(lambda v: prior_boxes(v, 32), "1"),
    "prior_boxes.width": Argument(lambda v: prior_boxes(32, v), "1"),
    "non_maximum_suppression.boxes": Argument(lambda v: non_maximum_suppression(v, np.zeros(2))),
    "non_maximum_suppression.scores": Argument(lambda v: non_maximum_suppression(np.zeros((2, 4)), v)),
    "non_maximum_suppression.iou": Argument(
        lambda v: non_maximum_suppression(np.zeros((2, 4)), np.zeros(2), v), "0, 0.5, 1"
    ),
    "Detector.network": Argument(lambda v: detector(network=v), "class"),
    "Detector.height": Argument(lambda v: detector(height=v), "1"),
    "Detector.width": Argument(lambda v: detector(width=v), "1"),
    "Detector.mean": Argument(lambda v: detector(mean=v)),
    "Detector.std": Argument(lambda v: detector(std=v)),
    "Detector.decoder": Argument(lambda v: detector(decoder=v), "None"),
    "Detector().image": Argument(lambda v: detector()(v)),
    "Detector().frame": Argument(lambda v: detector()(Image.new("RGB", SIZE), v), "None"),
    "Detector.detect.path": Argument(lambda v: detector().detect(v)),
    "detector_of.engine": Argument(detector_of),
    "load_detector.path": Argument(load_detector),
    "load_detector.decoder": Argument(lambda v: load_detector("no/such", decoder=v)),
}


@table(ARGUMENTS)
def test_one_wrong_argument(argument: Argument) -> None:
    assert not holds(argument)


def test_right_arguments_pass() -> None:
    whole = detector(mean=np.array(COLOUR), height=np.int64(32))(Image.new("RGB", (40, 20)), (80, 40))
    assert whole.boxes.shape[1:] == (4,)
