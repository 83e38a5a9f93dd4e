from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sparsenet.errors import DataError
from training.data import load_image_folder, load_images

COLOURS = {"cat": (220, 30, 30), "dog": (30, 220, 30), "elk": (30, 30, 220)}


@pytest.fixture
def animals(tmp_path, write_image):
    """Three classes of 8, 4 and 2 images; one file deeper than the others."""
    for name, count in {"dog": 4, "cat": 8, "elk": 2}.items():
        for index in range(count):
            inside = "more/" if index == 1 else ""
            write_image(tmp_path / f"animals/{name}/{inside}{index}.png", COLOURS[name])
    return tmp_path / "animals"


def test_classes_are_the_sorted_subfolders(animals):
    train = load_image_folder(animals, 6)
    assert train.class_names == ("cat", "dog", "elk")
    assert train.size == 6
    assert train.images.float().mean((2, 3)).argmax(1).tolist() == train.labels.tolist()


def test_seeded_split_is_stratified_disjoint_and_complete(animals):
    train, test = (load_image_folder(animals, 4, split=split) for split in ("train", "test"))
    assert train.counts() == {"cat": 6, "dog": 3, "elk": 1}
    assert test.counts() == {"cat": 2, "dog": 1, "elk": 1}
    assert not set(train.files) & set(test.files)
    assert "cat/more/1.png" in {*train.files, *test.files}
    assert load_image_folder(animals, 4, split="test").files == test.files
    assert len({load_image_folder(animals, 4, split="test", seed=seed).files for seed in range(5)}) > 1


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_train_and_test_or_val_folders_are_the_split(tmp_path, write_image, held_out):
    for part, count in (("train", 3), (held_out, 2)):
        for name in ("cat", "dog"):
            for index in range(count):
                write_image(tmp_path / part / name / f"{index}.png", COLOURS[name])
    assert load_image_folder(tmp_path, 4).counts() == {"cat": 3, "dog": 3}
    test = load_images(tmp_path, 4, split="test")
    assert test.counts() == {"cat": 2, "dog": 2}
    assert all(file.startswith(held_out + "/") for file in test.files)


def test_test_comes_before_val(tmp_path, write_image):
    for part in ("train", "val", "test"):
        for name in ("cat", "dog"):
            write_image(tmp_path / part / name / f"{part}.png")
    assert load_image_folder(tmp_path, 4, split="test").files == ("test/cat/test.png", "test/dog/test.png")


def test_splits_with_different_classes_are_an_error(tmp_path, write_image):
    for file in ("train/cat/0.png", "train/dog/0.png", "test/cat/0.png", "test/elk/0.png"):
        write_image(tmp_path / file)
    with pytest.raises(DataError, match="must have the same classes, differ in dog, elk"):
        load_image_folder(tmp_path, 4)


def test_bad_files_are_named_or_skipped_with_a_count(animals, write_image, truncated):
    (animals / "cat/empty.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"empty\.png: the file is empty; .*on_error='skip'"):
        [load_image_folder(animals, 4, split=split) for split in ("train", "test")]
    (animals / "cat/notes.txt").write_text("not pixels")
    truncated(write_image(animals / "dog/half.png"))
    with pytest.raises(DataError, match=r"(notes\.txt: not an image|half\.png: damaged|empty\.png)"):
        [load_image_folder(animals, 4, split=split) for split in ("train", "test")]
    both = [load_image_folder(animals, 4, split=split, on_error="skip") for split in ("train", "test")]
    assert sum(data.skipped for data in both) == 3
    assert sum(len(data) for data in both) == 14


def test_missing_empty_and_single_class_folders_say_what_was_expected(tmp_path, write_image):
    with pytest.raises(DataError, match=r"cannot read .*expected one sub-folder of images per class"):
        load_image_folder(tmp_path / "nowhere", 4)
    with pytest.raises(DataError, match="holds 0 class folders: expected one sub-folder"):
        load_image_folder(tmp_path, 4)
    write_image(tmp_path / "cat/0.png")
    with pytest.raises(DataError, match="holds 1 class folders"):
        load_image_folder(tmp_path, 4)
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataError, match="dog is empty"):
        load_image_folder(tmp_path, 4)


def test_a_folder_without_permission_is_an_error(animals, deny):
    deny(animals / "dog")
    with pytest.raises(DataError, match=r"cannot read .*dog.*permission denied"):
        load_image_folder(animals, 4)


def test_load_images_falls_back_to_an_image_folder_and_keeps_cascades_for_maskedface_net(animals):
    assert load_images(animals, 4).class_names == ("cat", "dog", "elk")
    with pytest.raises(DataError, match="'cascade-1' needs MaskedFace-Net"):
        load_images(animals, 4, "cascade-1")
    with pytest.raises(DataError, match="unknown task"):
        load_images(animals, 4, "5-class")


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK"])
def test_every_8_bit_mode_becomes_rgb(animals, mode):
    kind = "tif" if mode == "CMYK" else "png"
    Image.new("RGB", (9, 9), "white").convert(mode).save(animals / f"elk/white.{kind}")
    both = [load_image_folder(animals, 4, split=split) for split in ("train", "test")]
    (pixels,) = [data.images[data.files.index(f)] for data in both for f in data.files if "white" in f]
    assert torch.equal(pixels, torch.full((3, 4, 4), 255, dtype=torch.uint8))


def test_palette_with_transparency_needs_no_warning(animals):
    image = Image.new("P", (4, 4))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(animals / "elk/palette.png", transparency=b"\x00\x80")
    files = [f for split in ("train", "test") for f in load_image_folder(animals, 4, split=split).files]
    assert "elk/palette.png" in files


def test_16_bit_images_are_refused_rather_than_clipped(animals):
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(animals / "elk/deep.png")
    with pytest.raises(DataError, match=r"deep\.png: its pixels have more than 8 bits"):
        [load_image_folder(animals, 4, split=split) for split in ("train", "test")]


def test_exif_orientation_is_honoured(tmp_path):
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # the camera was upside down
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "0.png", exif=exif)
    image = load_image_folder(tmp_path, 16).images[0]
    assert image[:, :8].max() == 0
    assert image[:, 8:].min() == 255
