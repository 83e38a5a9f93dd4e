from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from sparsenet.errors import DataError
from training.data import LabeledImages, to_float
from training.evaluate import cascade, evaluate, metrics, predict

NAMES = ("a", "b", "c")
LABELS = [0, 0, 0, 0, 1, 1, 2, 2]
PREDICTIONS = [0, 0, 0, 1, 1, 0, 1, 1]


@pytest.fixture
def images() -> LabeledImages:
    pixels = torch.randint(
        0, 256, (7, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    labels = pixels.float().mean((2, 3)).argmax(1)
    return LabeledImages(pixels, labels, ("red", "green", "blue"), tuple(map(str, range(7))))


class Channels(nn.Module):
    """Logits are the channel means: it knows the strongest colour. Dropout tells the mode, half a frozen norm."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3))
        self.dropout = nn.Dropout(0.9)
        self.frozen = nn.BatchNorm1d(3)
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(x.shape))
        assert not self.training
        assert torch.is_inference_mode_enabled()
        return self.dropout(x.mean((2, 3)) @ self.weight).to(
            torch.bfloat16 if x.shape[2] == 4 else torch.float32
        )


def test_metrics_against_values_worked_out_by_hand():
    result = metrics(LABELS, PREDICTIONS, NAMES)
    assert result.confusion == ((3, 1, 0), (1, 1, 0), (0, 2, 0))
    assert result.support == (4, 2, 2)
    assert result.accuracy == 0.5
    assert result.precision == pytest.approx((3 / 4, 1 / 4, 0))  # c is never predicted
    assert result.recall == pytest.approx((3 / 4, 1 / 2, 0))
    assert result.f1 == pytest.approx((3 / 4, 1 / 3, 0))
    assert result.macro_f1 == pytest.approx((3 / 4 + 1 / 3) / 3)
    assert result.weighted_f1 == pytest.approx((4 * 3 / 4 + 2 / 3) / 8)


def test_metrics_take_arrays_and_tensors_alike():
    as_arrays = metrics(np.array(LABELS), np.array(PREDICTIONS, np.int32), NAMES)
    assert as_arrays == metrics(torch.tensor(LABELS), torch.tensor(PREDICTIONS), list(NAMES))


def test_a_class_without_images_counts_as_zero():
    result = metrics([0, 1], [0, 1], NAMES)
    assert result.accuracy == 1
    assert result.f1 == (1, 1, 0)
    assert result.macro_f1 == pytest.approx(2 / 3)
    assert result.support == (1, 1, 0)


def test_to_json_survives_a_round_trip():
    result = metrics(LABELS, PREDICTIONS, NAMES)
    read = json.loads(json.dumps(result.to_json()))
    assert read == result.to_json()
    assert read["confusion"] == [[3, 1, 0], [1, 1, 0], [0, 2, 0]]
    assert read["class_names"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "labels, predictions, message",
    [
        ([], [], "0 for 0"),
        ([0, 1], [0], "1 for 2"),
        ([0, 3], [0, 1], "labels: class numbers must be 0 to 2, got 0 to 3"),
        ([0, 1], [-1, 1], "predictions: class numbers must be 0 to 2"),
        ([0, 1], [[0, 1]], r"predictions: expected class numbers \(N,\)"),
        ([0, 1], [0.2, 0.8], "predictions: expected class numbers"),
    ],
)
def test_metrics_refuse_what_makes_no_sense(labels, predictions, message):
    with pytest.raises(DataError, match=message):
        metrics(labels, predictions, NAMES)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 32])
def test_predict_gives_the_logits_of_every_image_in_order(images, batch_size):
    logits = predict(Channels(), images, 8, batch_size)
    assert logits.dtype == torch.float32
    assert not logits.is_inference()
    torch.testing.assert_close(logits, to_float(images.images).mean((2, 3)))


def test_predict_shows_the_images_at_the_size_asked(images):
    model = Channels()
    logits = predict(model, images, 4, batch_size=4)
    assert model.shapes == [(4, 3, 4, 4), (3, 3, 4, 4)]
    assert logits.dtype == torch.float32  # though this model answers in bfloat16
    torch.testing.assert_close(logits, to_float(images.images).mean((2, 3)), rtol=0, atol=0.03)


def test_predict_restores_every_modules_mode_also_after_an_error(images):
    model = Channels()
    model.frozen.eval()
    predict(model, images, 8)
    assert [m.training for m in model.modules()] == [True, True, False]
    model.weight.data = torch.eye(4)
    with pytest.raises(RuntimeError):
        predict(model, images, 8)
    assert [m.training for m in model.modules()] == [True, True, False]


def test_evaluate_a_model_that_knows_and_one_that_does_not(images):
    model = Channels()
    assert evaluate(model, images, 8).accuracy == 1
    model.weight.data = -torch.eye(3)
    result = evaluate(model, images, 8)
    assert result.accuracy == 0
    assert result.class_names == ("red", "green", "blue")
    assert result.support == tuple(images.counts().values())


def test_cascade_takes_stage_two_where_stage_one_says_incorrect():
    combined = cascade([0, 1, 1, 1, 0], torch.tensor([2, 0, 1, 2, 0]))
    assert combined.dtype == torch.int64
    assert combined.tolist() == [0, 1, 2, 3, 0]


@pytest.mark.parametrize(
    "stage1, stage2, message",
    [
        ([0, 1], [0], "got 2 and 1"),
        ([0, 2], [0, 0], "stage 1: class numbers must be 0 to 1"),
        ([0, 1], [0, 3], "stage 2: class numbers must be 0 to 2"),
    ],
)
def test_cascade_refuses_what_makes_no_sense(stage1, stage2, message):
    with pytest.raises(DataError, match=message):
        cascade(stage1, stage2)
