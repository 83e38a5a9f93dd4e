"""Coding, matching and the multitask loss against loops and the engine's own decoding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sparsenet.detection import prior_boxes
from sparsenet.detection.decode import decode_boxes, decode_landmarks
from sparsenet.errors import InputError
from training.detection.boxes import corners, encode_boxes, encode_landmarks, iou, match
from training.detection.loss import MultitaskLoss
from training.models import build_detector
from training.pruning import find_masks

SIDE = 64
PRIORS = torch.from_numpy(prior_boxes(SIDE, SIDE))


def faces(count: int, seed: int = 0, side: float = SIDE) -> torch.Tensor:
    """Random target rows; every third without landmarks."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 0.6 * side, (count, 2))
    rows = np.zeros((count, 15), np.float32)
    rows[:, :2], rows[:, 2:4] = corner, corner + rng.uniform(6, 0.4 * side, (count, 2))
    rows[:, 4:14] = rng.uniform(0, side, (count, 10))
    rows[:, 14] = np.where(np.arange(count) % 3 == 2, -1, 1)
    rows[rows[:, 14] < 0, 4:14] = 0
    return torch.from_numpy(rows)


def test_coding_and_decoding_are_inverse() -> None:
    rows = faces(20)
    priors = PRIORS[torch.arange(20) * 7]
    boxes = decode_boxes(encode_boxes(rows[:, :4], priors).numpy(), priors.numpy())
    np.testing.assert_allclose(boxes, rows[:, :4], atol=1e-3)
    points = decode_landmarks(encode_landmarks(rows[:, 4:14], priors).numpy(), priors.numpy())
    np.testing.assert_allclose(points.reshape(-1, 10), rows[:, 4:14], atol=1e-3)


def test_overlap_by_hand() -> None:
    a = torch.tensor([[0.0, 0, 10, 10]])
    b = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]])
    assert iou(a, b)[0].tolist() == pytest.approx([1, 1 / 3, 0, 0])


def slow_match(rows: torch.Tensor, threshold: float = 0.35, least: float = 0.2) -> list[int]:
    """Face number of every prior, -1 for background."""
    overlaps = iou(rows[:, :4], corners(PRIORS))
    chosen = []
    for prior in range(len(PRIORS)):
        best = max(range(len(rows)), key=lambda face: float(overlaps[face, prior]))
        chosen.append(best if overlaps[best, prior] >= threshold else -1)
    for face in range(len(rows)):
        prior = int(overlaps[face].argmax())
        if overlaps[face, prior] >= least:
            chosen[prior] = face
    return chosen


@pytest.mark.parametrize("seed", range(8))
def test_matching_against_loops(seed: int) -> None:
    rows = faces(6, seed)
    got = match(rows, PRIORS)
    for prior, face in enumerate(slow_match(rows)):
        assert got.labels[prior] == (0 if face < 0 else rows[face, 14])
        if face >= 0:
            one = PRIORS[prior : prior + 1]
            torch.testing.assert_close(
                got.boxes[prior : prior + 1], encode_boxes(rows[face : face + 1, :4], one)
            )


def test_two_faces_that_claim_one_prior() -> None:
    """Both sit on the same small prior; every time, the later one gets it."""
    rows = faces(2)
    rows[:, :4] = torch.tensor([[0.0, 0, 9, 9], [1, 1, 10, 10]])
    labels = [match(rows, PRIORS) for _ in range(3)]
    assert all(torch.equal(labels[0].boxes, other.boxes) for other in labels[1:])
    assert int((labels[0].labels != 0).sum()) >= 1


def test_a_face_too_small_for_every_prior_is_background() -> None:
    rows = faces(1)
    rows[0, :4] = torch.tensor([3.0, 3, 5, 5])
    assert not match(rows, PRIORS).labels.any()


def random_outputs(batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    boxes, logits, points = (torch.randn(batch, len(PRIORS), n, generator=generator) for n in (4, 2, 10))
    return boxes, logits, points


def padded(*rows: torch.Tensor) -> torch.Tensor:
    targets = torch.zeros(len(rows), max(map(len, rows)), 15)
    for target, row in zip(targets, rows, strict=True):
        target[: len(row)] = row
    return targets


def test_loss_against_loops() -> None:
    per_image = [faces(4, 1), faces(1, 2), faces(0)]
    boxes, logits, points = random_outputs(3)
    total = torch.zeros(3)
    positives = marked = 0
    for image, rows in enumerate(per_image):
        chosen = slow_match(rows) if len(rows) else [-1] * len(PRIORS)
        wrong = []
        for prior, face in enumerate(chosen):
            entropy = F.cross_entropy(logits[image, prior], torch.tensor(int(face >= 0)))
            if face < 0:
                wrong.append(float(entropy))
                continue
            one, row = PRIORS[prior : prior + 1], rows[face : face + 1]
            positives += 1
            total[0] += entropy
            total[1] += F.smooth_l1_loss(
                boxes[image, prior], encode_boxes(row[:, :4], one)[0], reduction="sum"
            )
            if row[0, 14] == 1:
                marked += 1
                wanted = encode_landmarks(row[:, 4:14], one)[0]
                total[2] += F.smooth_l1_loss(points[image, prior], wanted, reduction="sum")
        count = 7 * (len(chosen) - chosen.count(-1))
        total[0] += sum(sorted(wrong, reverse=True)[:count])
    assert marked < positives
    loss = MultitaskLoss(SIDE, SIDE, box_weight=0.25, landmark_weight=0.1)
    got = loss.parts((boxes, logits, points), padded(*per_image))
    expected = total / torch.tensor([positives, positives, marked])
    torch.testing.assert_close(torch.stack(list(got)), expected)
    weighted = loss((boxes, logits, points), padded(*per_image))
    torch.testing.assert_close(weighted, expected @ torch.tensor([1, 0.25, 0.1]))


@pytest.mark.parametrize("negatives", [0, 7])
def test_images_without_faces_mine_what_they_are_told_to(negatives: int) -> None:
    boxes, logits, points = random_outputs(2)
    loss = MultitaskLoss(SIDE, SIDE, negatives_without_face=negatives)
    parts = loss.parts((boxes, logits, points), torch.zeros(2, 1, 15))
    every = F.cross_entropy(
        logits.transpose(1, 2), torch.zeros(logits.shape[:2], dtype=torch.long), reduction="none"
    )
    torch.testing.assert_close(parts.classification, every.topk(negatives, dim=1).values.sum())
    assert parts.boxes == parts.landmarks == 0


def test_an_image_without_faces_adds_nothing_to_one_that_has_some() -> None:
    outputs, rows = random_outputs(2), faces(3)
    both = MultitaskLoss(SIDE, SIDE).parts(outputs, torch.stack([rows, torch.zeros_like(rows)]))
    alone = MultitaskLoss(SIDE, SIDE).parts(tuple(o[:1] for o in outputs), rows[None])
    torch.testing.assert_close(list(both), list(alone))


def test_right_outputs_cost_little() -> None:
    rows = faces(3)
    wanted = match(rows, PRIORS)
    logits = torch.stack([10.0 * (wanted.labels == 0), 10.0 * (wanted.labels != 0)], 1)[None]
    outputs = (wanted.boxes[None], logits, wanted.landmarks[None])
    assert MultitaskLoss(SIDE, SIDE)(outputs, rows[None]) < 1e-3


def test_loss_of_another_size() -> None:
    with pytest.raises(InputError, match="made for 168 priors"):
        MultitaskLoss(SIDE, SIDE)(random_outputs(1)[:1] * 0 + tuple(torch.zeros(1, 5, n) for n in (4, 2, 10)),
                                  torch.zeros(1, 1, 15))  # fmt: skip


def test_find_masks_takes_the_loss() -> None:
    """SNIP on pyramid and context modules, as the paper has it: backbone and heads keep their weights."""
    model = build_detector("retinaface-mobilenet0.25", seed=1)
    x = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    masks = find_masks(
        model,
        method="snip",
        sparsity=1 - 10**-0.5,
        scope="global",
        batches=[(x, padded(faces(3), faces(2, 1)))],
        loss=MultitaskLoss(SIDE, SIDE),
        include=["fpn.*", "ssh.*"],
    )
    assert masks.nnz == round(masks.total * 10**-0.5)
    assert {name.partition(".")[0] for name in masks} == {"fpn", "ssh"}
