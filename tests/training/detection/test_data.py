"""Annotation files, drawn scenes, and random crops that move faces as they move pixels."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsenet.detection import Detector
from sparsenet.detection.image import letterbox
from sparsenet.errors import DataError
from training.detection.augment import MIRRORED, Crop, target_rows
from training.detection.drawn import draw_scenes, written
from training.detection.widerface import load_faces

MEAN, STD = (0.5, 0.25, 0.125), (0.5, 0.5, 0.5)

OFFICIAL = """0--Parade/a.jpg
2
10 20 30 40 0 0 0 0 0 0
1 2 3 0 0 0 0 0 0 0
1--Handshaking/b.jpg
0
0 0 0 0 0 0 0 0 0 0
2--Demonstration/c.jpg
2
5 5 6 6 0 0 0 1 0 0
7 8 9 10 2 0 0 0 2 0
"""
LABELS = """# 0--Parade/a.jpg
10 20 30 40 11 21 0.0 12 22 0.0 13 23 0.0 14 24 1.0 15 25 0.0 0.82
50 60 7 8 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 0.2
# 1--Handshaking/b.jpg 640 480
1 2 3 4
"""


def test_official_annotations(tmp_path: Path) -> None:
    file = tmp_path / "wider_face_train_bbx_gt.txt"
    file.write_text(OFFICIAL)
    a, b, c = load_faces(file, tmp_path)
    assert a.name == "0--Parade/a"
    assert a.path == tmp_path / "0--Parade/a.jpg"
    assert a.boxes.tolist() == [[10, 20, 40, 60]]  # the other one has no height
    assert np.isnan(a.landmarks).all()
    assert b.boxes.shape == (0, 4)
    assert c.boxes.tolist() == [[7, 8, 16, 18]]  # the other one is marked as invalid


def test_retinaface_annotations(tmp_path: Path) -> None:
    file = tmp_path / "label.txt"
    file.write_text(LABELS)
    a, _ = load_faces(file, tmp_path)
    assert a.boxes.tolist() == [[10, 20, 40, 60], [50, 60, 57, 68]]
    assert a.landmarks[0].tolist() == [[11, 21], [12, 22], [13, 23], [14, 24], [15, 25]]
    assert np.isnan(a.landmarks[1]).all()


def test_stretched_subset(tmp_path: Path) -> None:
    entry = {"event_path": "0--Parade/a.jpg", "orig_wh": [200, 100], "boxes_xyxy_orig": [[10, 20, 40, 60]]}
    (tmp_path / "index.json").write_text(json.dumps({"img/a.png": entry}))
    (tmp_path / "img").mkdir()
    Image.new("RGB", (50, 50)).save(tmp_path / "img" / "a.png")
    (item,) = load_faces(tmp_path / "index.json", tmp_path)
    image, frame = item.read()
    assert item.name == "0--Parade/a"
    assert image.size == (50, 50)
    assert frame == (200, 100)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "holds no annotations"),
        ("a.jpg\nmany\n", "line 2: expected the number of faces in a.jpg"),
        ("a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n", "line 4: expected at least 10 numbers"),
        ("# a.jpg\n1 2 nan 4\n", "line 2: expected at least 4 numbers"),
        ("{}x", "no index of a subset"),
        ("a.jpg\n-1\n1 2 3 4 0 0 0 0 0 0\n", "line 2: expected the number of faces"),
        ("a.jpg\n999999999999\n1 2 3 4 0 0 0 0 0 0\n", "line 2: expected the number of faces"),
        ("a.jpg\n" + "9" * 9999 + "\n", "line 2: expected the number of faces"),
        ("a.jpg\n1\n1 2 3 1e300 0 0 0 0 0 0\n", "line 3: expected at least 10 numbers"),
        ("../a.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n", r"x\.txt: '\.\./a\.jpg' is not a path inside"),
        ("# /etc/passwd\n1 2 3 4\n", "'/etc/passwd' is not a path inside"),
        ("# a.jpg\n1 2 3 4\n# a.jpg\n1 2 3 4\n", "'a' appears twice"),
        ("a.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n" * 2, "'a' appears twice"),
        (
            '{"../a.png": {"event_path": "a.jpg", "orig_wh": [9, 9], "boxes_xyxy_orig": []}}',
            "inside the data",
        ),
        ('{"a.png": {"event_path": "a.jpg", "orig_wh": [0, 9], "boxes_xyxy_orig": []}}', "impossible"),
        ('{"a.png": {"event_path": "a.jpg", "orig_wh": [9, 9], "boxes_xyxy_orig": [[0, 0, NaN, 9]]}}', "NaN"),
        (
            '{"a.png": {"event_path": "a.jpg", "orig_wh": [9, 9], "boxes_xyxy_orig": [[0, 0, 1e99, 9]]}}',
            "impossible",
        ),
        ('{"a.png": {"event_path": "a.jpg", "orig_wh": [9, 9], "boxes_xyxy_orig": [1, 2, 3]}}', "no index"),
        ('{"a.png": {}, "a.png": {}}', "appears twice"),
        ('{"a":' * 100_000, "too deep"),
        ('{"a": {}}', "no index of a subset"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_broken_annotations(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        load_faces(tmp_path / "x.txt", tmp_path)


def test_pipes_and_huge_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a regular file"):
        load_faces(tmp_path / "pipe", tmp_path)
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 2**40)
    with pytest.raises(DataError, match="more than the limit"):
        load_faces(tmp_path / "huge", tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        load_faces(tmp_path / "binary", tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_faces(tmp_path / "none.txt", tmp_path)
    (tmp_path / "label.txt").write_text(LABELS)
    with pytest.raises(DataError, match=r"a\.jpg: no such file"):
        load_faces(tmp_path / "label.txt", tmp_path)[0].read()


def test_the_real_subset(shared_data: Path) -> None:
    folder = shared_data / "widerface_subset"
    faces = load_faces(folder / "subset_gt.json", folder)
    assert len(faces) == 205
    image, frame = faces[-1].read()
    assert image.size == (416, 416)
    assert frame != image.size
    boxes = np.concatenate([face.boxes for face in faces])
    assert len(boxes) > 4500
    labels = load_faces(folder / "gt" / "labelv2.txt", folder)
    assert len(labels) == 3226


def test_drawn_scenes_repeat_and_differ() -> None:
    scenes = draw_scenes(4, 96, seed=3)
    assert all(1 <= len(s.boxes) <= 4 for s in scenes)
    first, _ = scenes[0].read()
    assert first.tobytes() == draw_scenes(1, 96, seed=3)[0].read()[0].tobytes()
    assert first.tobytes() != scenes[1].read()[0].tobytes()
    for scene in scenes:
        inside = (scene.boxes[:, None, :2] <= scene.landmarks) & (scene.landmarks <= scene.boxes[:, None, 2:])
        assert inside.mean() > 0.95
    with pytest.raises(DataError, match="at least 1 and 64"):
        draw_scenes(1, 16)


def test_drawn_scenes_become_files_that_are_read_again(tmp_path: Path) -> None:
    scenes = draw_scenes(2, 96, seed=3)
    written(scenes, tmp_path)
    stamps = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.png")}
    again = written(scenes, tmp_path)
    assert stamps == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.png")}
    for scene, file in zip(scenes, again, strict=True):
        assert file.name == scene.name
        assert file.read()[0].tobytes() == scene.read()[0].tobytes()
        np.testing.assert_allclose(file.boxes, scene.boxes, atol=1e-3)
        np.testing.assert_allclose(file.landmarks, scene.landmarks, atol=1e-3)
    with pytest.raises(DataError, match=r"label\.txt is of other images"):
        written(draw_scenes(2, 96, seed=4), tmp_path)


def marked_image(side: tuple[int, int], at: tuple[int, int]) -> Image.Image:
    """Black, with a white square of 9 pixels around ``at``."""
    pixels = np.zeros((side[1], side[0], 3), np.uint8)
    pixels[at[1] - 4 : at[1] + 5, at[0] - 4 : at[0] + 5] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("seed", range(12))
def test_crops_move_faces_with_their_pixels(seed: int) -> None:
    """The white square's middle is a landmark and the middle of a box: all three stay together."""
    x, y = 70, 40
    image = marked_image((120, 90), (x, y))
    boxes = np.array([[x - 10, y - 10, x + 11, y + 11]], np.float32)
    landmarks = np.full((1, 5, 2), (x + 0.5, y + 0.5), np.float32)
    pixels, rows = Crop(128, MEAN, STD, colour=False)(
        image, image.size, boxes, landmarks, np.random.default_rng(seed)
    )
    assert pixels.shape == (3, 128, 128)
    assert pixels.dtype == np.float32
    (row,) = rows
    middle = np.argwhere(pixels[0] > 0.5).mean(0)[::-1] + 0.5
    np.testing.assert_allclose(row[4:6], middle, atol=2.5)
    np.testing.assert_allclose((row[:2] + row[2:4]) / 2, middle, atol=2.5)


def test_a_crop_without_room_shows_everything() -> None:
    """No square in a wide image holds a face as wide as the image: the whole of it, on a plain canvas."""
    image = Image.new("RGB", (200, 50), (255, 255, 255))
    boxes = np.array([[1, 1, 199, 49]], np.float32)
    crop = Crop(100, MEAN, STD, colour=False)
    pixels, rows = crop(image, image.size, boxes, np.zeros((1, 5, 2), np.float32), np.random.default_rng(0))
    assert (pixels[:, 25:] == 0).all()
    np.testing.assert_allclose(pixels[:, :25].reshape(3, -1).min(1), [1, 1.5, 1.75])
    np.testing.assert_allclose(rows[0, 2:4] - rows[0, :2], [99, 24])


def test_mirroring_swaps_left_and_right() -> None:
    image = Image.new("RGB", (64, 64))
    boxes = np.array([[10, 10, 50, 50]], np.float32)
    landmarks = np.array([[(15, 20), (45, 20), (30, 30), (20, 40), (40, 40)]], np.float32)
    crop = Crop(64, MEAN, STD, scales=(1.0,))
    seen = set()
    for seed in range(8):
        _, rows = crop(image, image.size, boxes, landmarks, np.random.default_rng(seed))
        left_eye, right_eye = rows[0, 4:6], rows[0, 6:8]
        assert left_eye[0] < right_eye[0]
        seen.add(tuple(rows[0, :4].tolist()))
    assert seen == {(10, 10, 50, 50), (14, 10, 54, 50)}
    assert [MIRRORED[i] for i in MIRRORED] == [0, 1, 2, 3, 4]


def test_target_rows_of_no_faces() -> None:
    assert target_rows(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32)).shape == (0, 15)


def test_letterbox_keeps_the_aspect() -> None:
    image = marked_image((120, 60), (90, 30))
    pixels, (x, y) = letterbox(image, 48, 48, np.float32(MEAN), np.float32(STD))
    assert pixels.shape == (1, 3, 48, 48)
    assert (pixels[0, :, 24:] == 0).all()
    assert (x, y) == (2.5, 2.5)
    middle = np.argwhere(pixels[0, 0] > 0.5).mean(0)[::-1] + 0.5
    np.testing.assert_allclose(middle * (x, y), (90.5, 30.5), atol=1.5)
    stretched = image.resize((60, 60))
    again, factors = letterbox(stretched, 48, 48, np.float32(MEAN), np.float32(STD), (120, 60))
    assert factors == (x, y)
    assert np.abs(again - pixels).mean() < 0.05


def test_detector_maps_back_to_the_image() -> None:
    """A network that always sees a face on one prior: its box comes back in the image's own pixels."""
    count = 2 * (8 * 8 + 4 * 4 + 2 * 2)

    def network(x: np.ndarray) -> tuple[np.ndarray, ...]:
        assert x.shape == (1, 3, 64, 64)
        logits = np.tile(np.array([9.0, -9.0], np.float32), (1, count, 1))
        logits[0, 2 * (2 * 8 + 3)] = (-9, 9)
        return np.zeros((1, count, 4), np.float32), logits, np.zeros((1, count, 10), np.float32)

    found = Detector(network, 64, 64, MEAN, STD)(Image.new("RGB", (128, 100)))
    assert len(found) == 1
    np.testing.assert_allclose(found.boxes[0], [2 * 20, 2 * 12, 2 * 36, 2 * 28])
    np.testing.assert_allclose(found.landmarks[0], [(56, 40)] * 5)
