"""Image files to network inputs, through Pillow, which the ``train`` extra brings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from sparsenet.checks import path_of
from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.graph import FloatArray
from sparsenet.io.image_file import ImageFileError, open_image, require_pillow

if TYPE_CHECKING:
    from PIL.Image import Image


def read_image(path: str | os.PathLike[str]) -> Image:
    """An image file as RGB, upright by its EXIF orientation.

    Raises:
        InputError: it is missing or not a readable image.
        MemoryLimitError: its pixels would take too much.
        MissingExtraError: Pillow is not installed.
    """
    name = str(path_of(path, "the image"))
    try:
        with open_image(path) as image:
            from PIL import ImageOps

            return ImageOps.exif_transpose(image).convert("RGB")
    except ImageFileError as error:
        raise InputError(f"{name}: {error}") from None
    except MemoryLimitError as error:
        raise MemoryLimitError(f"{name}: {error}") from None


def letterbox(
    image: Image,
    height: int,
    width: int,
    mean: FloatArray,
    std: FloatArray,
    frame: tuple[int, int] | None = None,
) -> tuple[FloatArray, tuple[float, float]]:
    """Fit an image into ``height`` × ``width`` pixels, its aspect kept, in the upper left corner of a plain canvas.

    The canvas has the colour ``mean``, which the network sees as 0, the value its own zero padding has.

    Args:
        image: RGB.
        height, width: of the network's input, in pixels.
        mean, std: (3,) normalisation of RGB values in [0, 1].
        frame: width and height that the image should have, where it is a stretched copy.

    Returns:
        float32 (1, 3, height, width), and how many pixels of the frame one pixel there is, in x and y.
    """
    pillow = require_pillow("resizing an image")
    own_width, own_height = frame or image.size
    scale = min(width / own_width, height / own_height)
    size = max(1, round(own_width * scale)), max(1, round(own_height * scale))
    pixels = np.asarray(image.resize(size, pillow.Resampling.BILINEAR), np.float32) / 255
    canvas = np.zeros((1, 3, height, width), np.float32)
    canvas[0, :, : size[1], : size[0]] = ((pixels - mean) / std).transpose(2, 0, 1)
    return canvas, (own_width / size[0], own_height / size[1])
