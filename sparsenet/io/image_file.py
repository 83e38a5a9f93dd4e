"""Image files from strangers, opened through Pillow, which the extra ``images`` brings."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sparsenet.errors import InputError, MemoryLimitError, MissingExtraError, SparsenetError
from sparsenet.io.files import open_regular
from sparsenet.limits import require_memory

if TYPE_CHECKING:
    from types import ModuleType

    from PIL.Image import Image

#: Kinds of files that are opened: those that nothing outside Pillow decodes. PostScript, for one, is run by a program.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
#: Pixels an image may have, and bytes that each takes: decoded, and once more as RGB.
MAX_PIXELS, BYTES_PER_PIXEL = 2**27, 8


class ImageFileError(InputError):
    """An image file cannot be used; the message is the bare reason, without the file's name."""


@contextmanager
def open_image(path: str | os.PathLike[str]) -> Iterator[Image]:
    """An image whose pixels are still to be decoded; decode them within: what is wrong with them is an error as well.

    Raises:
        ImageFileError: it cannot be read, is damaged, no image of ``FORMATS``, or of more than ``MAX_PIXELS`` pixels.
        MemoryLimitError: its pixels would take more than ``limits.memory_limit``.
        MissingExtraError: Pillow is not installed.
    """
    pillow = require_pillow("reading an image")
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise ImageFileError("the file is empty")
            with _quietly_opened(pillow, file) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise ImageFileError(f"{width} × {height} pixels; {MAX_PIXELS:,} are the limit")
                require_memory(BYTES_PER_PIXEL * width * height, f"the image of {width} × {height} pixels")
                yield image
    except SparsenetError:
        raise
    except FileNotFoundError:
        raise ImageFileError("no such file") from None
    except pillow.UnidentifiedImageError:
        raise ImageFileError(f"not an image of a known kind ({', '.join(FORMATS)})") from None
    except pillow.DecompressionBombError:
        raise ImageFileError(f"more than {MAX_PIXELS:,} pixels") from None
    except MemoryError:
        raise MemoryLimitError("the system does not give the memory for the image") from None
    except Exception as error:
        # Pillow's parsers raise whatever their arithmetic runs into.
        if isinstance(error, OSError) and error.strerror:  # the system's refusal, not a decoder's complaint
            raise ImageFileError(f"cannot be read: {error.strerror.lower()}") from None
        raise ImageFileError(f"damaged image: {error or type(error).__name__}") from None


def require_pillow(what: str) -> ModuleType:
    """``PIL.Image``; MissingExtraError if it is not installed."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError(what, "images") from error
    return Image


_filters = threading.Lock()


def _quietly_opened(pillow: ModuleType, file: object) -> Image:
    """Silences Pillow's own warning of many pixels. Images are opened in threads, filters of warnings are global."""
    pillow.init()
    formats = [name for name in FORMATS if name in pillow.OPEN]
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
        image: Image = pillow.open(file, formats=formats)
    return image
