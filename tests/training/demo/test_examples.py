"""Pictures for the report: the classes in turn, and the most confident mistakes."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image

from tests.training.tiny_images import tiny_images
from training.demo.examples import examples, mistakes


def logits(predicted: list[int], confidence: list[float]) -> torch.Tensor:
    answers = torch.zeros(len(predicted), 4)
    for row, label, value in zip(answers, predicted, confidence, strict=True):
        row[label] = value
    return answers


def test_classes_come_in_turn_as_long_as_they_last() -> None:
    images = tiny_images(24)
    few = images.subset([i for i in range(24) if images.labels[i] != 3 or i == 3])
    shown = examples(few, torch.zeros(len(few), 4), count=10)
    assert [example.label for example in shown] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert examples(few, torch.zeros(len(few), 4), count=10) == shown
    assert examples(few, torch.zeros(len(few), 4), count=10, seed=1) != shown


def test_mistakes_are_the_most_confident_ones() -> None:
    images = tiny_images(6)  # labels 0, 1, 2, 3, 0, 1
    answers = logits([1, 1, 0, 3, 2, 1], [2.0, 9.0, 5.0, 9.0, 3.0, 9.0])
    shown = mistakes(images, answers, count=2)
    assert [(example.label, example.predicted) for example in shown] == [(2, 0), (0, 2)]
    assert shown[0].probability == float(answers[2].softmax(0)[0])
    assert mistakes(images, logits(images.labels.tolist(), [1.0] * 6)) == []


def test_pictures_are_the_images_themselves() -> None:
    images = tiny_images(4, size=64)
    shown = examples(images, torch.zeros(4, 4), count=4)
    picture = Image.open(io.BytesIO(base64.b64decode(shown[3].image)))
    assert picture.size == (64, 64)
    quadrants = np.asarray(picture.resize((2, 2), Image.Resampling.BOX).convert("L"))
    assert quadrants.argmax() == 3  # the bright one is that of its class
