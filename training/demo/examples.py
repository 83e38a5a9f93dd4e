"""Test images with what the final network says about them."""

from __future__ import annotations

import base64
import io

import torch
from PIL import Image
from torch import Tensor

from training.data.images import LabeledImages
from training.report.model import Example

SIDE = 128  # pixels at most: a sheet of them stays a few hundred kilobytes


def examples(images: LabeledImages, logits: Tensor, count: int = 16, seed: int = 0) -> list[Example]:
    """``count`` images drawn at random, the classes in turn as long as they last."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).tolist()
    by_class = [[i for i in order if images.labels[i] == label] for label in range(len(images.class_names))]
    in_turn = [members[turn] for turn in range(len(images)) for members in by_class if turn < len(members)]
    chosen = sorted(in_turn[:count], key=lambda i: int(images.labels[i]))
    return [_example(images, logits, i) for i in chosen]


def mistakes(images: LabeledImages, logits: Tensor, count: int = 8) -> list[Example]:
    """The ``count`` mistakes made with most confidence."""
    wrong = (logits.argmax(1) != images.labels).nonzero().flatten()
    confidence = logits.softmax(1).amax(1)[wrong]
    chosen = wrong[confidence.argsort(descending=True, stable=True)][:count]
    return [_example(images, logits, int(i)) for i in chosen]


def _example(images: LabeledImages, logits: Tensor, index: int) -> Example:
    shares = logits[index].softmax(0)
    predicted = int(shares.argmax())
    return Example(
        _jpeg(images.images[index]), int(images.labels[index]), predicted, float(shares[predicted])
    )


def _jpeg(pixels: Tensor) -> str:
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return base64.b64encode(buffer.getvalue()).decode()
