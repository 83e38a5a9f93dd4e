"""Drawn faces with masks: the data to try everything on without a download.

The four classes are those of MaskedFace-Net. Pose, light, skin, hair, mask and clutter vary from face to face;
only where the mask's edges lie relative to nose, mouth and chin tells the class.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from PIL import Image

from sparsenet.checks import MANY
from sparsenet.errors import DataError
from training.data.faces.geometry import Geometry
from training.data.faces.head import Head
from training.data.faces.mask import draw_mask
from training.data.faces.paint import Brush
from training.data.faces.scene import background, develop, occluder
from training.data.files import Split
from training.data.maskedface_net import CLASS_NAMES

Balance = Literal["uniform", "natural"]

# How often MaskedFace-Net's classes occur in a sample of it; correct and uncovered nose dominate.
_NATURAL = np.array([1351, 98, 1121, 128])
_GOLDEN = (5**0.5 - 1) / 2
_SUPERSAMPLING = 2


class SyntheticMaskedFaces:
    """A map-style dataset of ``n`` drawn faces; item i is (RGB image of ``size`` × ``size`` pixels, class number).

    Item i depends on ``seed``, ``split``, ``balance`` and i alone: another ``n`` cuts the same sequence elsewhere.
    With ``balance="uniform"`` every four items in a row show each class once; with ``"natural"`` the classes
    occur as often as in MaskedFace-Net.

    Raises:
        DataError: an argument is out of range.
    """

    def __init__(
        self, n: int, size: int = 96, seed: int = 0, split: Split = "train", balance: Balance = "uniform"
    ) -> None:
        if not 1 <= n <= MANY:
            raise DataError(f"cannot draw {n} faces: ask for at least 1 and at most {MANY}")
        if size < 16:
            raise DataError(f"cannot draw faces of {size} × {size} pixels: ask for at least 16")
        if seed < 0:
            raise DataError(f"seed {seed} is negative: use 0 or more")
        if split not in get_args(Split):
            raise DataError(f"unknown split {split!r}: choose one of {', '.join(get_args(Split))}")
        if balance not in get_args(Balance):
            raise DataError(f"unknown balance {balance!r}: choose one of {', '.join(get_args(Balance))}")
        self.n, self.size, self.seed = n, size, seed
        self.split, self.balance = split, balance
        self._split_number = get_args(Split).index(split)

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        label = self.label(i)
        rng = self._rng(i)
        canvas = self.size * _SUPERSAMPLING
        geometry = Geometry.sample(rng, label, canvas)
        image = background(rng, canvas)
        head = Head(rng)
        brush = Brush(image, geometry)
        head.back(brush)
        head.face(brush)
        draw_mask(image, geometry, rng)
        head.front(brush)
        occluder(image, geometry, rng)
        return develop(image, rng, self.size), label

    def label(self, i: int) -> int:
        """The class of item i, without drawing it."""
        if not 0 <= i < self.n:
            raise IndexError(f"face {i} of {self.n}")
        # A fourth word keeps these streams apart from those of the items.
        if self.balance == "uniform":
            block, place = divmod(i, len(CLASS_NAMES))
            order = np.random.default_rng([self.seed, self._split_number, block, 1]).permutation(
                len(CLASS_NAMES)
            )
            return int(order[place])
        start = np.random.default_rng([self.seed, self._split_number, 0, 2]).random()
        # Steps of the golden ratio fall evenly into [0, 1): the shares hold for every n.
        shares = np.cumsum(_NATURAL) / _NATURAL.sum()
        return int(np.searchsorted(shares, (start + i * _GOLDEN) % 1.0, side="right"))

    def geometry(self, i: int) -> Geometry:
        """Where the parts of item i lie, on its canvas of twice the size."""
        return Geometry.sample(self._rng(i), self.label(i), self.size * _SUPERSAMPLING)

    def _rng(self, i: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self._split_number, i])
