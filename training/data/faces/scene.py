"""What surrounds a face: background, something in the way, light, blur and noise."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from training.data.faces.geometry import Geometry
from training.data.faces.paint import any_color, shade


def background(rng: Generator, canvas: int) -> Image.Image:
    """A gradient with rectangles, ellipses, polygons and lines on it."""
    corners = rng.integers(10, 245, (2, 2, 3)).astype(np.uint8)
    image = Image.fromarray(corners).resize((canvas, canvas), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 11))):
        x, y, w, h = rng.uniform(0, 1, 4) * (canvas, canvas, canvas * 0.5, canvas * 0.5)
        color = any_color(rng)
        kind = rng.integers(4)
        if kind == 0:
            draw.rectangle([x, y, x + w, y + h], fill=color)
        elif kind == 1:
            draw.ellipse([x - w / 2, y - h / 2, x + w / 2, y + h / 2], fill=color)
        elif kind == 2:
            corners_ = (rng.normal(0, 0.5, (5, 2)) * (w, h) + (x, y)).ravel().tolist()
            draw.polygon(corners_, fill=color)
        else:
            draw.line(
                [x, y, x + w - canvas / 4, y + h], fill=color, width=int(rng.integers(1, 1 + canvas // 24))
            )
    return image


def occluder(image: Image.Image, geometry: Geometry, rng: Generator) -> None:
    """Now and then a hand-like blob, far enough from nose, mouth and chin to hide nothing that tells the class."""
    if rng.random() > 0.2:
        return
    draw, s = ImageDraw.Draw(image), geometry.scale
    color = any_color(rng, 60, 230)
    r = s * rng.uniform(0.15, 0.3)
    angle = rng.uniform(0, 2 * np.pi)
    middle = np.mean(list(geometry.landmarks().values()), axis=0)
    x, y = middle + s * rng.uniform(1.35, 1.7) * np.array([np.cos(angle), np.sin(angle)])
    draw.ellipse([x - r, y - r, x + r, y + r], fill=color)
    for finger in range(4):
        fx = x + (finger - 1.5) * r * 0.5
        draw.line(
            [fx, y, fx + r * 0.1, y - r * 1.4],
            fill=shade(color, 0.92 + 0.04 * finger),
            width=max(1, int(r * 0.4)),
        )


def develop(image: Image.Image, rng: Generator, size: int) -> Image.Image:
    """The canvas as photographed at ``size`` × ``size`` pixels: light from one side, exposure, blur and noise."""
    small = image.resize((size, size), Image.Resampling.BOX)
    if rng.random() < 0.5:
        small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9) * size / 96))
    pixels = np.asarray(small, dtype=np.float32) / 255
    t = np.linspace(-1, 1, size, dtype=np.float32)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4)
    light = 1 + strength * (np.cos(angle) * t[None, :] + np.sin(angle) * t[:, None])
    gain = (rng.uniform(0.6, 1.2) * rng.uniform(0.9, 1.1, 3)).astype(np.float32)
    pixels = pixels * light[:, :, None].astype(np.float32) * gain + np.float32(rng.uniform(-0.05, 0.1))
    pixels += rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(0.005, 0.05))
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))
