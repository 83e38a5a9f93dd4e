"""The protocol of WIDERFACE: a case computed by hand, and the procedure written out as a second opinion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from sparsenet.errors import DataError
from training.detection.scoring import (
    SETTINGS,
    GroundTruth,
    ImageTruth,
    area_under,
    average_precision,
)


def truth_of(faces: list[tuple[float, ...]], **ignored: list[int]) -> ImageTruth:
    counted = {s: np.ones(len(faces), np.bool_) for s in SETTINGS}
    for setting, rows in ignored.items():
        counted[setting][rows] = False
    return ImageTruth(np.array(faces, np.float64).reshape(-1, 4), counted)


def found(*rows: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    array = np.array(rows, np.float64).reshape(-1, 5)
    return array[:, :4], array[:, 4]


def test_by_hand() -> None:
    """Scores in order: hit, false alarm, hit, a second box of a face found already, and nothing of the third face.

    Precision after each: 1, 1/2, 2/3, 1/2; recall 1/3, 1/3, 2/3, 2/3. Area: 1/3 · 1 + 1/3 · 2/3 = 5/9. Where the
    first face is ignored, its box is no proposal: 0 (false alarm), 1/2, 1/3; area 1/2 · 1/2 = 1/4.
    """
    truth = GroundTruth(
        {
            "a": truth_of([(10, 10, 20, 20), (100, 100, 40, 40)], hard=[0]),
            "b": truth_of([(5, 5, 50, 50)]),
        }
    )
    ap = average_precision(
        {
            "a": found((10, 10, 30, 30, 0.9), (200, 200, 220, 220, 0.8), (100, 100, 140, 140, 0.7),
                       (101, 101, 141, 141, 0.1)),
        },
        truth,
    )  # fmt: skip
    assert ap.easy == pytest.approx(5 / 9)
    assert ap.medium == pytest.approx(5 / 9)
    assert ap.hard == pytest.approx(1 / 4)


def test_perfect_and_absent() -> None:
    truth = GroundTruth({"a": truth_of([(10, 10, 20, 20), (100, 100, 40, 40)])})
    assert average_precision({"a": found((10, 10, 30, 30, 0.9), (100, 100, 140, 140, 0.3))}, truth) == (
        1,
        1,
        1,
    )
    assert average_precision({}, truth) == (0, 0, 0)
    assert average_precision({"a": found()}, truth) == (0, 0, 0)


def test_false_alarms_on_an_image_without_faces_do_not_count() -> None:
    truth = GroundTruth({"a": truth_of([(10, 10, 20, 20)]), "empty": truth_of([])})
    detections = {"a": found((10, 10, 30, 30, 0.5)), "empty": found((0, 0, 9, 9, 0.9))}
    assert average_precision(detections, truth) == (1, 1, 1)


def test_sides_are_counted_in_whole_pixels() -> None:
    """10 × 10 pixels against 10 × 5 of them: with both ends included the overlap is 6 · 11 / 11², above a half."""
    truth = GroundTruth({"a": truth_of([(0, 0, 10, 10)])})
    assert average_precision({"a": found((0, 0, 10, 5, 1.0))}, truth).easy == 1
    assert average_precision({"a": found((0, 0, 10, 4, 1.0))}, truth).easy == 0


def step_by_step(
    detections: dict[str, tuple[np.ndarray, np.ndarray]], truth: GroundTruth, setting: str
) -> float:
    """As the benchmark describes it: thresholds outside, images inside, detections one by one."""
    low = min((s for _, scores in detections.values() for s in scores), default=0)
    high = max((s for _, scores in detections.values() for s in scores), default=1)
    curve, total = np.zeros((1000, 2)), 0
    for name, image in truth.images.items():
        counted = image.counted[setting]
        total += int(counted.sum())
        if name not in detections or len(image.boxes) == 0 or len(detections[name][1]) == 0:
            continue
        boxes, scores = detections[name]
        rows = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
        state, proposals, recalled, values = [0] * len(counted), [], [], []
        for i in rows:
            best, best_iou = 0, -1.0
            for j, (x, y, w, h) in enumerate(image.boxes):
                iw = min(boxes[i][2], x + w) - max(boxes[i][0], x) + 1
                ih = min(boxes[i][3], y + h) - max(boxes[i][1], y) + 1
                common = max(iw, 0) * max(ih, 0)
                area = (boxes[i][2] - boxes[i][0] + 1) * (boxes[i][3] - boxes[i][1] + 1)
                overlap = common / (area + (w + 1) * (h + 1) - common)
                if overlap > best_iou:
                    best, best_iou = j, overlap
            proposal = 1
            if best_iou >= 0.5:
                if not counted[best]:
                    state[best], proposal = -1, -1
                elif state[best] == 0:
                    state[best] = 1
            proposals.append(proposal)
            recalled.append(state.count(1))
            values.append((scores[i] - low) / max(high - low, 1e-300))
        for t in range(1000):
            reached = [k for k, value in enumerate(values) if value >= 1 - (t + 1) / 1000]
            if reached:
                curve[t] += proposals[: reached[-1] + 1].count(1), recalled[reached[-1]]
    if total == 0:
        return 0.0
    precision = [hits / p if p else 0.0 for p, hits in curve]
    recall = [hits / total for _, hits in curve]
    area, before = 0.0, 0.0
    for t in range(1000):
        area += (recall[t] - before) * max(precision[t:])
        before = recall[t]
    return area


@given(st.integers(0, 10**6))
def test_against_the_protocol_step_by_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, detections = {}, {}
    for number in range(int(rng.integers(1, 5))):
        count = int(rng.integers(0, 5))
        faces = np.concatenate([rng.integers(0, 60, (count, 2)), rng.integers(4, 40, (count, 2))], 1)
        counted = {s: rng.random(count) < share for s, share in zip(SETTINGS, (0.4, 0.7, 1), strict=True)}
        images[str(number)] = ImageTruth(faces.astype(np.float64), counted)
        near = [f for f in faces for _ in range(int(rng.integers(0, 3)))]
        rows = [np.concatenate([f[:2], f[:2] + f[2:]]) + rng.normal(0, 3, 4) for f in near]
        rows += [np.concatenate([c, c + 15]) for c in rng.uniform(0, 60, (int(rng.integers(0, 4)), 2))]
        scores = rng.integers(0, 12, len(rows)) / 12
        if rng.random() < 0.9:
            detections[str(number)] = np.array(rows).reshape(-1, 4), scores
    truth = GroundTruth(images)
    got = average_precision(detections, truth)
    for setting, value in zip(SETTINGS, got, strict=True):
        assert value == pytest.approx(step_by_step(detections, truth, setting), abs=1e-12)


def test_area_under_a_curve() -> None:
    assert area_under(np.array([0.5, 0.5, 1.0]), np.array([1.0, 0.5, 0.6])) == pytest.approx(0.5 + 0.5 * 0.6)
    assert area_under(np.array([0.25]), np.array([0.8])) == pytest.approx(0.2)


def write_mat(folder: Path, setting: str, kept: list[int]) -> None:
    def column(*items: object) -> np.ndarray:
        cells = np.empty((len(items), 1), object)
        for i, item in enumerate(items):
            cells[i, 0] = item
        return cells

    faces = np.array([[1, 2, 30, 40], [5, 6, 7, 8]], np.float64)
    scipy.io.savemat(
        folder / f"wider_{setting}_val.mat",
        {
            "event_list": column("0--Parade"),
            "file_list": column(column("0_Parade_1", "0_Parade_2")),
            "face_bbx_list": column(column(faces, faces[:1])),
            "gt_list": column(column(np.array(kept)[:, None], np.zeros((0, 1)))),
        },
    )


def test_mat_files(tmp_path: Path) -> None:
    for setting, kept in zip(SETTINGS, ([1], [2], [1, 2]), strict=True):
        write_mat(tmp_path, setting, kept)
    truth = GroundTruth.load(tmp_path)
    image = truth.images["0--Parade/0_Parade_1"]
    assert image.boxes.tolist() == [[1, 2, 30, 40], [5, 6, 7, 8]]
    assert [image.counted[s].tolist() for s in SETTINGS] == [[True, False], [False, True], [True, True]]
    assert not truth.images["0--Parade/0_Parade_2"].counted["hard"].any()
    assert list(truth.restricted(["0--Parade/0_Parade_2"]).images) == ["0--Parade/0_Parade_2"]
    with pytest.raises(DataError, match="does not know the image 'x'"):
        truth.restricted(["x"])
    with pytest.raises(DataError, match="does not know the image 'x'"):
        average_precision({"x": found((0, 0, 1, 1, 1))}, truth)


def test_broken_mat_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"wider_easy_val\.mat: cannot be read: No such file"):
        GroundTruth.load(tmp_path)
    scipy.io.savemat(tmp_path / "wider_easy_val.mat", {"other": [1]})
    with pytest.raises(DataError, match="no ground truth"):
        GroundTruth.load(tmp_path)


def test_the_real_ground_truth(shared_data: Path) -> None:
    truth = GroundTruth.load(shared_data / "widerface_subset" / "gt")
    assert len(truth.images) == 3226
    counts = [sum(int(i.counted[s].sum()) for i in truth.images.values()) for s in SETTINGS]
    assert counts == [7211, 13319, 31958]
