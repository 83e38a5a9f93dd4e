from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sparsenet.errors import DataError
from training.data import NORMALISATION, LabeledImages, to_float
from training.data.files import held_out


def make(n: int = 5, size: int = 8) -> LabeledImages:
    pixels = torch.randint(
        0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return LabeledImages(pixels, torch.arange(n) % 2, ("a", "b", "c"), tuple(f"{i}.png" for i in range(n)), 4)


class Drawn:
    """A map-style data set of plain colours whose width and height differ."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        if index >= self.n:
            raise IndexError(index)
        return Image.new("RGB", (10, 12), (index, 2 * index, 3 * index)), index % 3


def test_counts_len_and_size():
    data = make()
    assert (len(data), data.size, data.counts()) == (5, 8, {"a": 3, "b": 2, "c": 0})


def test_subset_takes_images_labels_and_files_in_the_order_asked():
    data = make()
    for indices in ([3, 0], torch.tensor([3, 0])):
        chosen = data.subset(indices)
        assert chosen.files == ("3.png", "0.png")
        assert chosen.labels.tolist() == [1, 0]
        assert torch.equal(chosen.images, data.images[[3, 0]])
        assert chosen.skipped == 4
    assert len(data.subset([])) == 0


def test_resized_is_antialiased_and_near_pillow():
    data = make(n=3, size=32)
    small = data.resized(8)
    assert small.images.dtype == torch.uint8
    assert small.files == data.files
    for image, got in zip(data.images, small.images, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((8, 8), Image.Resampling.BILINEAR)
        expected = np.asarray(picture).transpose(2, 0, 1).astype(int)
        assert np.abs(expected - got.numpy().astype(int)).max() <= 1
    assert data.resized(32) is data


@pytest.mark.parametrize("size", [None, 6])
def test_from_dataset_resizes_to_the_first_width_or_the_size_asked(size):
    data = LabeledImages.from_dataset(Drawn(4), ("x", "y", "z"), progress=False, size=size)
    assert data.images.shape == (4, 3, size or 10, size or 10)
    assert data.labels.tolist() == [0, 1, 2, 0]
    assert data.images[:, :, 0, 0].tolist() == [[i, 2 * i, 3 * i] for i in range(4)]
    assert data.files == ("00000", "00001", "00002", "00003")


def test_from_dataset_refuses_empty_data_and_labels_out_of_range():
    with pytest.raises(DataError, match="empty"):
        LabeledImages.from_dataset(Drawn(0), ("x",))
    with pytest.raises(DataError, match="labels run from 0 to 2, but there are 2 classes"):
        LabeledImages.from_dataset(Drawn(4), ("x", "y"), progress=False)


@pytest.mark.parametrize(
    "images, labels, files, message",
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64), ("a", "b"), "images must be uint8"),
        (
            torch.zeros(2, 3, 4, 5, dtype=torch.uint8),
            torch.zeros(2, dtype=torch.int64),
            ("a", "b"),
            "images must be",
        ),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2), ("a", "b"), "labels must be int64"),
        (
            torch.zeros(2, 3, 4, 4, dtype=torch.uint8),
            torch.zeros(2, dtype=torch.int64),
            ("a",),
            "1 file names",
        ),
    ],
)
def test_inconsistent_parts_are_refused(images, labels, files, message):
    with pytest.raises(DataError, match=message):
        LabeledImages(images, labels, ("x",), files)


def test_to_float_is_the_recorded_normalisation():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    mean, std = (torch.tensor(NORMALISATION[key])[:, None, None] for key in ("mean", "std"))
    result = to_float(pixels)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, (pixels / 255 - mean) / std, rtol=0, atol=1e-6)
    assert (result.min(), result.max()) == (-1, 1)
    assert pixels.dtype == torch.uint8


def test_held_out_takes_a_share_of_every_stratum_whatever_the_order():
    strata = {f"k{i}": "big" if i < 40 else "small" if i < 43 else "single" for i in range(44)}
    test = held_out(strata, seed=3)
    assert sum(strata[key] == "big" for key in test) == 10
    assert sum(strata[key] == "small" for key in test) == 1
    assert sum(strata[key] == "single" for key in test) == 0
    assert held_out(dict(reversed(strata.items())), seed=3) == test
    assert held_out(strata, seed=4) != test
