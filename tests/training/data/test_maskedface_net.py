from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from sparsenet.errors import DataError
from training.data import CLASS_NAMES, load_images, load_maskedface_net
from training.data.maskedface_net import parse_name

SUFFIXES = ("_Mask", "_Mask_Nose_Mouth", "_Mask_Mouth_Chin", "_Mask_Chin")


def make(folder: Path, write_image, people: int = 24, nested: bool = False) -> Path:
    """Every person once correctly masked (CMFD) and once in one of the three wrong ways (IMFD)."""
    for person in range(people):
        inside = f"{person // 10 * 10:05d}/" if nested else ""
        wrong = SUFFIXES[1 + person % 3]
        write_image(folder / f"CMFD/{inside}{person:05d}_Mask.jpg", (200, 0, 0))
        write_image(folder / f"IMFD/{inside}{person:05d}{wrong}.jpg", (0, 0, 200))
    return folder


def people(files: tuple[str, ...]) -> set[str]:
    return {Path(file).name.split("_")[0] for file in files}


@pytest.mark.parametrize(
    "file, label",
    [
        ("CMFD/00000_Mask.jpg", 0),
        ("IMFD/00001_Mask_Nose_Mouth.jpg", 1),
        ("IMFD/00002_Mask_Mouth_Chin.jpg", 2),
        ("IMFD/00003_Mask_Chin.jpg", 3),
        ("IMFD/03000/03004_mask_chin.JPG", 3),
        ("CMFD/03000/03004_Mask.png", 0),
    ],
)
def test_label_and_person_come_from_the_name(file, label):
    assert parse_name(file) == (Path(file).name.split("_")[0], label)


@pytest.mark.parametrize(
    "file",
    [
        "CMFD/00000.jpg",
        "IMFD/1_Mask_Nose.jpg",
        "IMFD/_Mask_Chin.jpg",
        "CMFD/1_Mask (1).jpg",
        "CMFD/1_Mask.txt",
    ],
)
def test_other_names_are_refused(file):
    with pytest.raises(DataError, match="the name does not end in _Mask"):
        parse_name(file)


def test_a_name_that_contradicts_its_folder_is_refused():
    with pytest.raises(DataError, match="says uncovered_nose, which belongs in IMFD/"):
        parse_name("CMFD/00000_Mask_Mouth_Chin.jpg")
    with pytest.raises(DataError, match="says correct, which belongs in CMFD/"):
        parse_name("IMFD/00000_Mask.jpg")


@pytest.mark.parametrize("nested", [False, True])
def test_flat_and_nested_layouts_give_every_image_once(tmp_path, write_image, nested):
    make(tmp_path, write_image, nested=nested)
    train, test = (load_maskedface_net(tmp_path, 8, split=split) for split in ("train", "test"))
    assert train.images.shape == (36, 3, 8, 8)
    assert train.images.dtype == torch.uint8
    assert train.class_names == CLASS_NAMES
    assert train.skipped == test.skipped == 0
    assert list(train.counts().values()) == [18, 6, 6, 6]
    assert list(test.counts().values()) == [6, 2, 2, 2]
    assert len(set(train.files) | set(test.files)) == 48
    for data in (train, test):
        assert [parse_name(file)[1] for file in data.files] == data.labels.tolist()
        red = data.images[:, 0].float().mean((1, 2)) > data.images[:, 2].float().mean((1, 2))
        assert torch.equal(red, data.labels == 0)


def test_no_person_is_in_both_splits_and_tasks_share_the_split(tmp_path, write_image):
    make(tmp_path, write_image)
    for seed in (0, 1):
        train, test = (
            load_maskedface_net(tmp_path, 4, split=split, seed=seed) for split in ("train", "test")
        )
        assert not people(train.files) & people(test.files)
        stage2 = load_maskedface_net(tmp_path, 4, "cascade-2", "test", seed=seed)
        assert set(stage2.files) == {file for file in test.files if file.startswith("IMFD")}


def test_the_split_depends_on_the_seed_alone(tmp_path, write_image):
    make(tmp_path, write_image)
    first, again, other = (load_maskedface_net(tmp_path, 4, split="test", seed=seed) for seed in (5, 5, 6))
    assert first.files == again.files
    assert torch.equal(first.images, again.images)
    assert people(first.files) != people(other.files)


@pytest.mark.parametrize(
    "task, names, labels",
    [
        ("2-class", ("correct", "incorrect"), [0, 1, 1, 1]),
        ("cascade-1", ("correct", "incorrect"), [0, 1, 1, 1]),
        ("4-class", CLASS_NAMES, [0, 1, 2, 3]),
        ("cascade-2", CLASS_NAMES[1:], [0, 1, 2]),
    ],
)
def test_tasks(tmp_path, write_image, task, names, labels):
    files = [f"{'IMFD' if k else 'CMFD'}/0000{k}{suffix}.jpg" for k, suffix in enumerate(SUFFIXES)]
    for file in files:
        write_image(tmp_path / file)
    (tmp_path / "split.csv").write_text("file,split\n" + "".join(f"{file},train\n" for file in files))
    data = load_maskedface_net(tmp_path, 4, task)
    assert data.class_names == names
    assert data.labels.tolist() == labels
    assert len(data.files) == len(labels)


def test_split_csv_decides_and_unlisted_files_are_left_out(tmp_path, write_image):
    make(tmp_path, write_image, people=4)
    table = "\ufefffile,split\nCMFD/00001_Mask.jpg,test\nIMFD/00000_Mask_Nose_Mouth.jpg,train\n"
    (tmp_path / "split.csv").write_text(table, encoding="utf-8")
    assert load_maskedface_net(tmp_path, 4).files == ("IMFD/00000_Mask_Nose_Mouth.jpg",)
    assert load_maskedface_net(tmp_path, 4, split="test").files == ("CMFD/00001_Mask.jpg",)


@pytest.mark.parametrize(
    "table, message",
    [
        ("file,split\n", "lists no files"),
        ("name,part\na,b\n", "line 2: expected the columns file and split"),
        ("file,split\nCMFD/00000_Mask.jpg,validation\n", r"line 2: expected .* \(train or test\)"),
        ("file,split\nCMFD/00000_Mask.jpg,train\n../00000_Mask.jpg,train\n", "line 3: .* not a path inside"),
        ("file,split\n/etc/00000_Mask.jpg,train\n", "line 2: .* not a path inside"),
        (
            "file,split\nCMFD/0_Mask.jpg,train\nCMFD/0_Mask.jpg,test\n",
            "line 3: CMFD/0_Mask.jpg is listed twice",
        ),
        ("file,split\nCMFD/0_Mask.jpg,test\n", "no images for this split"),
        (b"file,split\n\xff\xfe", "cannot read .*split.csv"),
    ],
)
def test_a_wrong_split_csv_is_an_error_naming_the_line(tmp_path, write_image, table, message):
    make(tmp_path, write_image, people=1)
    (tmp_path / "split.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(DataError, match=message):
        load_maskedface_net(tmp_path, 4)


def test_a_listed_file_that_is_gone_is_named_or_counted(tmp_path, write_image):
    make(tmp_path, write_image, people=1)
    table = "file,split\nCMFD/00000_Mask.jpg,train\nCMFD/00009_Mask.jpg,train\n"
    (tmp_path / "split.csv").write_text(table)
    with pytest.raises(DataError, match=r"00009_Mask\.jpg: no such file"):
        load_maskedface_net(tmp_path, 4)
    assert load_maskedface_net(tmp_path, 4, on_error="skip").skipped == 1


def test_bad_files_are_named_or_skipped_with_a_count(tmp_path, write_image, truncated):
    make(tmp_path, write_image, people=8)
    whole = {split: load_maskedface_net(tmp_path, 4, split=split) for split in ("train", "test")}
    broken = truncated(tmp_path / whole["train"].files[0])
    (tmp_path / whole["train"].files[1]).write_bytes(b"")
    (tmp_path / whole["train"].files[2]).write_text("no pixels here")
    with pytest.raises(DataError, match=f"{broken.name}: damaged image: (?i:.*truncated)"):
        load_maskedface_net(tmp_path, 4)
    train = load_maskedface_net(tmp_path, 4, on_error="skip")
    assert train.skipped == 3
    assert train.files == whole["train"].files[3:]
    assert torch.equal(train.images, whole["train"].images[3:])
    assert torch.equal(train.labels, whole["train"].labels[3:])
    assert load_maskedface_net(tmp_path, 4, split="test", on_error="skip").files == whole["test"].files


def test_a_misnamed_file_is_named_or_counted(tmp_path, write_image):
    make(tmp_path, write_image, people=8)
    write_image(tmp_path / "IMFD/selfie.jpg")
    with pytest.raises(DataError, match=r"selfie\.jpg: the name does not end in"):
        load_maskedface_net(tmp_path, 4)
    assert load_maskedface_net(tmp_path, 4, on_error="skip").skipped == 1


def test_file_manager_clutter_is_passed_over(tmp_path, write_image):
    make(tmp_path, write_image, people=8)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / "CMFD" / name).write_bytes(b"?")
    assert load_maskedface_net(tmp_path, 4).skipped == 0


def test_only_bad_files_is_an_error_even_when_skipping(tmp_path, write_image):
    make(tmp_path, write_image, people=2)
    for path in tmp_path.rglob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"no images for this split.*files cannot be used.*the file is empty"):
        load_maskedface_net(tmp_path, 4, on_error="skip")


def test_missing_and_incomplete_folders_say_what_was_expected(tmp_path, write_image):
    with pytest.raises(DataError, match=r"cannot read .*nowhere \(no such file.*expected .*CMFD/ and IMFD/"):
        load_maskedface_net(tmp_path / "nowhere", 4)
    with pytest.raises(DataError, match="no folder CMFD and no folder IMFD: expected"):
        load_maskedface_net(tmp_path, 4)
    file = write_image(tmp_path / "CMFD/0_Mask.jpg")
    with pytest.raises(DataError, match="has no folder IMFD: expected"):
        load_images(tmp_path, 4)
    with pytest.raises(DataError, match=r"not a directory\): expected"):
        load_images(file, 4)
    (tmp_path / "IMFD").mkdir()
    with pytest.raises(DataError, match="no images for this split") as caught:
        load_images(tmp_path, 4, "cascade-2")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", [".", "IMFD"])
def test_a_folder_without_permission_is_an_error(tmp_path, write_image, deny, where):
    make(tmp_path, write_image, people=2)
    deny(tmp_path / where)
    with pytest.raises(DataError, match=r"cannot read .*permission denied"):
        load_maskedface_net(tmp_path, 4)


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(DataError, match=r"unknown task '3-class'.*cascade-2"):
        load_maskedface_net(tmp_path, 4, "3-class")
    with pytest.raises(DataError, match="unknown split 'val'"):
        load_maskedface_net(tmp_path, 4, split="val")
    with pytest.raises(DataError, match="at least 1 pixel, got 0"):
        load_maskedface_net(tmp_path, 0)


def test_wrong_on_error_is_named(tmp_path, write_image):
    make(tmp_path, write_image, people=2)
    with pytest.raises(DataError, match="on_error is 'raise' or 'skip', not 'ignore'"):
        load_maskedface_net(tmp_path, 4, on_error="ignore")


def test_the_real_images(shared_data):
    folder = shared_data / "maskedface_net"
    if not folder.is_dir():
        pytest.skip(f"no MaskedFace-Net images: {folder} does not exist")
    train, test = (load_images(folder, 16, split=split) for split in ("train", "test"))
    assert list(train.counts().values()) == [209, 35, 513, 28]
    assert list(test.counts().values()) == [80, 11, 167, 11]
    assert not people(train.files) & people(test.files)
    assert Counter(load_images(folder, 8, "cascade-2", "test").labels.tolist()) == {0: 11, 1: 167, 2: 11}
