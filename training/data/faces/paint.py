"""A brush that draws in the face frame of a Geometry, and colours."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from training.data.faces.geometry import Geometry

Color = tuple[int, int, int]


def shade(color: Color, factor: float) -> Color:
    """``color`` made darker (``factor`` < 1) or lighter."""
    r, g, b = (int(min(255, max(0, channel * factor))) for channel in color)
    return r, g, b


def mix(a: Color, b: Color, share: float) -> Color:
    """``share`` of ``b`` in ``a``."""
    r, g, bl = (int(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, bl


def any_color(rng: Generator, low: int = 10, high: int = 245) -> Color:
    """A random colour."""
    r, g, b = (int(v) for v in rng.integers(low, high, 3))
    return r, g, b


def pick(rng: Generator, colors: tuple[Color, ...], spread: int = 14) -> Color:
    """One of ``colors``, varied by up to ``spread`` per channel."""
    color = colors[int(rng.integers(len(colors)))]
    r, g, b = (
        int(min(255, max(0, c + d)))
        for c, d in zip(color, rng.integers(-spread, spread + 1, 3), strict=False)
    )
    return r, g, b


def ellipse(x: float, y: float, rx: float, ry: float, points: int = 18) -> np.ndarray:
    """A polygon (points, 2) around (x, y)."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack((x + rx * np.cos(t), y + ry * np.sin(t)), 1)


class Brush:
    """Draws polygons and lines, given in the face frame, on an image."""

    def __init__(self, image: Image.Image, geometry: Geometry) -> None:
        self.draw = ImageDraw.Draw(image)
        self.geometry = geometry

    def width(self, units: float) -> int:
        """Pixels of a line ``units`` wide in the face frame; at least 1."""
        return max(1, round(units * self.geometry.scale))

    def fill(self, points: np.ndarray, color: Color, lift: float = 0.0) -> None:
        """A filled polygon (k, 2)."""
        self.draw.polygon(_flat(self.geometry.project(points, lift)), fill=color)

    def line(self, points: np.ndarray, color: Color, width: float, lift: float = 0.0) -> None:
        """A line through points (k, 2), ``width`` in the face frame."""
        pixels = _flat(self.geometry.project(points, lift))
        self.draw.line(pixels, fill=color, width=self.width(width), joint="curve")


def _flat(points: np.ndarray) -> list[float]:
    flat: list[float] = points.ravel().tolist()
    return flat
