"""Priors, decoding and suppression against plain loops and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsenet.detection import Decoder, non_maximum_suppression, prior_boxes
from sparsenet.detection.decode import check_outputs, decode_boxes, decode_landmarks, face_scores
from sparsenet.errors import InputError


def test_priors_by_hand() -> None:
    priors = prior_boxes(64, 96)
    expected = []
    for stride, sizes in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        for row in range(64 // stride):
            for column in range(96 // stride):
                expected += [((column + 0.5) * stride, (row + 0.5) * stride, s, s) for s in sizes]
    assert priors.dtype == np.float32
    np.testing.assert_array_equal(priors, np.array(expected, np.float32))


def test_maps_of_odd_sizes_are_rounded_up() -> None:
    assert len(prior_boxes(72, 33)) == 2 * (9 * 5 + 5 * 3 + 3 * 2)
    with pytest.raises(InputError, match="height must be at least 1"):
        prior_boxes(0, 64)


def test_no_offset_is_the_prior_itself() -> None:
    priors = prior_boxes(32, 32)
    boxes = decode_boxes(np.zeros_like(priors), priors)
    np.testing.assert_allclose((boxes[:, :2] + boxes[:, 2:]) / 2, priors[:, :2])
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], priors[:, 2:])
    points = decode_landmarks(np.zeros((len(priors), 10), np.float32), priors)
    np.testing.assert_array_equal(points, np.repeat(priors[:, None, :2], 5, axis=1))


def test_offsets_in_units_of_the_variances() -> None:
    prior = np.array([[100, 50, 16, 32]], np.float32)
    box = decode_boxes(np.array([[10, 5, 5 * np.log(2), 0]], np.float32), prior)
    np.testing.assert_allclose(box, [[116 - 16, 66 - 16, 116 + 16, 66 + 16]], rtol=1e-6)
    points = decode_landmarks(np.array([[10, -10, *[0] * 8]], np.float32), prior)
    np.testing.assert_allclose(points[0, :2], [(116, 18), (100, 50)])


def test_huge_offsets_stay_finite() -> None:
    assert np.isfinite(decode_boxes(np.full((1, 4), 1e4, np.float32), prior_boxes(8, 8)[:1])).all()


def test_scores_are_the_softmax() -> None:
    logits = np.array([[0, 0], [0, 2], [800, -800], [-800, 800]], np.float32)
    np.testing.assert_allclose(face_scores(logits), [0.5, 1 / (1 + np.exp(-2)), 0, 1], rtol=1e-6)


def slow_suppression(boxes: np.ndarray, scores: np.ndarray, iou: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        for j in kept:
            width = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
            height = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
            common = max(width, 0) * max(height, 0)
            union = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[j])) - common
            if common > iou * union:
                break
        else:
            kept.append(i)
    return kept


@given(st.integers(0, 40), st.sampled_from([0.0, 0.3, 0.4, 1.0]), st.integers(0, 10**6))
def test_suppression_against_loops(count: int, iou: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    corner, size = rng.integers(0, 20, (count, 2)), rng.integers(0, 12, (count, 2))
    boxes = np.concatenate([corner, corner + size], 1).astype(np.float32)
    scores = rng.integers(0, 5, count).astype(np.float32)  # many equal ones
    assert non_maximum_suppression(boxes, scores, iou).tolist() == slow_suppression(boxes, scores, iou)


def outputs(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    boxes, logits, points = (rng.standard_normal((count, n)).astype(np.float32) for n in (4, 2, 10))
    return boxes, logits, points


def test_decoder_keeps_rows_together() -> None:
    priors = prior_boxes(64, 64)
    boxes, logits, points = outputs(len(priors))
    found = Decoder(min_score=0.6)(boxes, logits, points, priors)
    assert 0 < len(found) < len(priors)
    assert (np.diff(found.scores) <= 0).all()
    for box, score, landmarks in zip(found.boxes, found.scores, found.landmarks, strict=True):
        (row,) = np.flatnonzero(face_scores(logits) == score)
        np.testing.assert_array_equal(box, decode_boxes(boxes[[row]], priors[[row]])[0])
        np.testing.assert_array_equal(landmarks, decode_landmarks(points[[row]], priors[[row]])[0])


def test_decoder_limits() -> None:
    priors = prior_boxes(64, 64)
    raw = outputs(len(priors))
    everything = Decoder(min_score=0.0, iou=1.0, candidates=10**6, faces=10**6)(*raw, priors)
    assert len(everything) == len(priors)
    few = Decoder(min_score=0.0, iou=1.0, candidates=7)(*raw, priors)
    np.testing.assert_array_equal(few.scores, everything.scores[:7])
    assert len(Decoder(min_score=0.0, iou=1.0, faces=3)(*raw, priors)) == 3
    assert len(Decoder(min_score=1.0)(*raw, priors)) == 0


@pytest.mark.parametrize("wrong", [{"min_score": 1.5}, {"iou": -0.1}, {"candidates": 0}, {"faces": 0}])
def test_decoder_refuses(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Decoder(**wrong)  # type: ignore[arg-type]


def test_detections_move_together() -> None:
    priors = prior_boxes(64, 64)
    found = Decoder(min_score=0.5)(*outputs(len(priors)), priors)
    larger = found.rescaled(2, 3)
    np.testing.assert_allclose(larger.boxes, found.boxes * [2, 3, 2, 3])
    np.testing.assert_allclose(larger.landmarks, found.landmarks * [2, 3])
    cut = found.clipped(40, 20)
    assert cut.boxes.min() >= 0
    assert cut.boxes.max(0)[2] <= 40
    assert cut.boxes.max(0)[3] <= 20
    assert len(found[:2]) == 2


def test_outputs_of_another_network() -> None:
    count = len(prior_boxes(64, 64))
    check_outputs([(count, 4), (count, 2), (count, 10)], 64, 64)
    with pytest.raises(InputError, match="no face detector: for 64×64 pixels"):
        check_outputs([(1000,)], 64, 64)
