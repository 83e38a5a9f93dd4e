"""Descriptors: opened as asked for, closed once, and never lost."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

from sparsenet.io.descriptors import Descriptors, opener
from tests.fuzz.interrupts import InterruptError, Places

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(autouse=True)
def _nothing_is_freed_meanwhile() -> None:
    """What tests before have left to the garbage collector may hold descriptors."""
    gc.collect()


def opened() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_is_opened_with_the_flags_given_and_from_the_folder_given(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"some bytes")
    (tmp_path / "link").symlink_to("file")
    held = Descriptors()
    folder = held.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with open("link", "rb", opener=opener(os.O_RDONLY, folder=folder)) as file:
        assert file.read() == b"some bytes"
    unfollowed = opener(os.O_RDONLY | os.O_NOFOLLOW, folder=folder)
    with pytest.raises(OSError, match="link"), open("link", "rb", opener=unfollowed):
        pass
    with open("new", "wb", opener=opener(os.O_WRONLY | os.O_CREAT, 0o640, folder)) as file:
        file.write(b"new")
    assert (tmp_path / "new").stat().st_mode & 0o777 & ~0o640 == 0
    held.close()


def test_all_are_closed_once_by_closing_or_by_being_freed(tmp_path: Path) -> None:
    before = opened()
    held = Descriptors()
    first = held.open("/", os.O_RDONLY)
    held.open(tmp_path, os.O_RDONLY, first)
    assert opened() == before + 2
    held.close()
    assert opened() == before
    other = os.open("/", os.O_RDONLY)  # takes the number that has become free
    held.close()
    del held
    os.close(other)
    held = Descriptors()
    held.open("/", os.O_RDONLY)
    with pytest.raises(FileNotFoundError):
        held.open(tmp_path / "nothing", os.O_RDONLY)
    del held
    assert opened() == before


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_none_is_lost_wherever_an_exception_comes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"some bytes")

    def work() -> None:
        held = Descriptors()
        folder = held.open(tmp_path, os.O_RDONLY)
        with open("file", "rb", opener=opener(os.O_RDONLY, folder=folder)):
            held.close()

    places, before = Places(), opened()
    last = places.count(work)
    assert last > 5
    for place in range(1, last + 1):
        with pytest.raises(InterruptError):
            places.count(work, place)
        assert opened() == before
