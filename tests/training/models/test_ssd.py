"""The single-shot detector: RetinaFace's priors from the backbone's own maps."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from converters.verify import relative_error
from sparsenet import Engine
from sparsenet.detection.priors import prior_boxes
from training.detection.published import detector_info
from training.models import SSD, build_detector, default_input_size
from training.traces import Traces

NAME, SIDE = "ssd-mobilenet0.25", 72


def test_a_prediction_for_every_prior() -> None:
    priors = len(prior_boxes(SIDE, SIDE))  # no multiple of 32
    with torch.no_grad():
        outputs = build_detector(NAME).eval()(torch.zeros(2, 3, SIDE, SIDE))
    assert [tuple(output.shape) for output in outputs] == [(2, priors, n) for n in (4, 2, 10)]
    assert default_input_size(NAME) == 256


def test_heads_read_the_backbone_alone_in_windows_of_three() -> None:
    model = build_detector(NAME, seed=1).eval()
    assert isinstance(model, SSD)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        fine = model.backbone(x)[0]
        head = model.class_heads[0]
        expected = F.conv2d(fine, head.weight, head.bias, padding=1)[0].flatten(1).T.reshape(-1, 2)
        got = model(x)[1][0, : 2 * 64]
    assert torch.allclose(got, expected, atol=1e-5)


def test_the_engine_computes_it() -> None:
    model = build_detector(NAME, seed=2).eval()
    graph = Traces().graph(model, detector_info(NAME, SIDE))
    x = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE), np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(x))
    for got, wanted in zip(Engine(graph, 1)(x), expected, strict=True):
        assert relative_error(got, wanted.numpy()) < 1e-5
