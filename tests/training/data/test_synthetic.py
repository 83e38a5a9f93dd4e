"""Drawn faces: what they depend on, what tells their class, and how they lie in the picture."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from sparsenet.errors import DataError
from training.data.faces.geometry import PORTRAIT, SNAPSHOT, Framing, Geometry
from training.data.synthetic import SyntheticMaskedFaces


def test_a_face_depends_on_seed_split_and_number_alone() -> None:
    few, many = SyntheticMaskedFaces(4, 32), SyntheticMaskedFaces(40, 32)
    others = SyntheticMaskedFaces(4, 32, seed=1), SyntheticMaskedFaces(4, 32, split="test")
    for i in range(4):
        assert few[i][0].tobytes() == many[i][0].tobytes()
        assert all(few[i][0].tobytes() != other[i][0].tobytes() for other in others)


def test_every_four_faces_show_each_class_once() -> None:
    faces = SyntheticMaskedFaces(40, 32)
    assert all({faces.label(i + k) for k in range(4)} == {0, 1, 2, 3} for i in range(0, 40, 4))
    natural = SyntheticMaskedFaces(1000, 32, balance="natural")
    counts = Counter(natural.label(i) for i in range(1000))
    assert counts[0] > counts[2] > counts[3] > counts[1] > 0


def test_the_mask_covers_what_the_class_says() -> None:
    faces = SyntheticMaskedFaces(80, 64)
    covered = ((True, True, True), (True, True, False), (False, True, True), (False, False, True))
    for i in range(80):
        geometry = faces.geometry(i)
        edges = geometry.upper_edge, geometry.lower_edge
        found = tuple(edges[0] < y < edges[1] for y in (0.24, 0.53, 0.93))  # nose tip, mouth, chin
        assert found == covered[faces.label(i)]


def test_portraits_are_larger_and_more_upright_than_snapshots() -> None:
    def poses(framing: Framing) -> list[Geometry]:
        return [Geometry.sample(np.random.default_rng(i), 0, 100, framing) for i in range(100)]

    near, far = poses(PORTRAIT), poses(SNAPSHOT)
    assert min(pose.scale for pose in near) >= 36 > min(pose.scale for pose in far)
    for angle in ("yaw", "pitch", "roll"):
        spread = [np.std([getattr(pose, angle) for pose in group]) for group in (near, far)]
        assert spread[0] < 0.8 * spread[1]
    for pose in near:  # nose, mouth and chin are in the picture
        assert all(0 < x < 100 and 0 < y < 100 for x, y in pose.landmarks().values())


@pytest.mark.parametrize(
    "arguments", [{"n": 0}, {"n": 4, "size": 8}, {"n": 4, "seed": -1}, {"n": 4, "split": "x"}]
)
def test_faces_that_cannot_be_drawn_are_refused(arguments: dict) -> None:
    with pytest.raises(DataError):
        SyntheticMaskedFaces(**arguments)
