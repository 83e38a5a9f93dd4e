"""Made-up image folders, a few pixels each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WriteImage = Callable[..., Path]


@pytest.fixture
def write_image() -> WriteImage:
    def write(
        path: Path, colour: tuple[int, int, int] = (200, 100, 50), size: tuple[int, int] = (20, 24)
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(-20, 20, (*size[::-1], 3))
        Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def truncated() -> Callable[[Path], Path]:
    """Cuts a file to two thirds of its bytes."""

    def cut(path: Path) -> Path:
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        return path

    return cut


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes listing one folder fail as it does without permission; file modes do not stop a superuser."""
    import os

    def refuse(folder: Path) -> None:
        def guarded(original: Callable) -> Callable:
            def call(path: str | os.PathLike[str] = ".") -> object:
                if Path(path) == folder:
                    raise PermissionError(13, "Permission denied", str(path))
                return original(path)

            return call

        for name in ("scandir", "listdir"):
            monkeypatch.setattr(os, name, guarded(getattr(os, name)))

    return refuse
