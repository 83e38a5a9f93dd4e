"""Image files to pixels, through Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sparsenet.errors import DataError, MemoryLimitError
from sparsenet.io.image_file import ImageFileError, open_image


def to_pixels(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """The image as uint8 RGB (3, size, size), stretched with an antialiased bicubic filter.

    Transparency is dropped. DataError for pixels of more than 8 bits, which Pillow would clip to white.
    """
    if image.mode in {"I", "F"} or image.mode.startswith("I;"):
        raise DataError(f"its pixels have more than 8 bits per channel (Pillow mode {image.mode})")
    if "transparency" in image.info:  # Pillow wants palettes with alpha to go through RGBA
        image = image.convert("RGBA")
    image = image.convert("RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


def decode_image(path: Path, size: int) -> NDArray[np.uint8]:
    """Read one file as uint8 RGB (3, size, size), upright by its EXIF orientation.

    DataError with the bare reason (empty, not an image, damaged, too large, unreadable); the caller names the file.
    """
    try:
        with open_image(path) as image:
            # JPEG decodes several times faster at a reduced scale; twice the target keeps the resize antialiased.
            image.draft("RGB", (2 * size, 2 * size))
            return to_pixels(ImageOps.exif_transpose(image), size)
    except (ImageFileError, MemoryLimitError) as error:
        raise DataError(str(error)) from None
