"""The mask: surgical with pleats, cloth, or cup-shaped with a seam; plain or patterned; straps to the ears."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from training.data.faces.geometry import Geometry
from training.data.faces.paint import Brush, Color, any_color, ellipse, pick, shade

_COLORS: tuple[Color, ...] = (
    (165, 205, 228), (120, 175, 215), (235, 238, 240), (205, 215, 220), (30, 32, 38), (60, 70, 95),
    (170, 205, 180), (225, 175, 190), (205, 170, 135),
)  # fmt: skip


def draw_mask(image: Image.Image, geometry: Geometry, rng: Generator) -> None:
    """Draws a random mask on ``image``, within the polygon of ``geometry``."""
    kind = str(rng.choice(("surgical", "cloth", "cup"), p=(0.5, 0.3, 0.2)))
    color = any_color(rng) if rng.random() < 0.25 else pick(rng, _COLORS)
    brush = Brush(image, geometry)
    _straps(brush, shade(color, rng.uniform(0.8, 1.1)) if rng.random() < 0.5 else (232, 232, 232), rng)
    if kind == "cloth" and rng.random() < 0.6:
        _patterned(image, geometry, color, rng)
    else:
        brush.fill(geometry.mask(), color, lift=0.03)
    _shadow(brush, color, rng)
    if kind == "surgical":
        for share in np.linspace(0, 1, int(rng.integers(3, 6)))[1:-1]:
            brush.line(
                geometry.mask_edge(float(share)), shade(color, rng.uniform(0.75, 0.9)), 0.02, lift=0.03
            )
    elif kind == "cup":
        middle = np.stack(
            (np.zeros(5), np.linspace(geometry.upper_edge, min(geometry.lower_edge, 1.0), 5)), 1
        )
        brush.line(middle, shade(color, 0.8), 0.025, lift=0.03)
        if rng.random() < 0.4:
            height = geometry.lower_edge - geometry.upper_edge
            y = geometry.upper_edge + 0.6 * height
            brush.fill(
                ellipse(rng.choice((-0.25, 0.25)), y, 0.1, min(0.1, height / 4)), shade(color, 0.75), 0.03
            )
    for share in (0.0, 1.0):
        brush.line(geometry.mask_edge(share), shade(color, rng.uniform(0.65, 1.15)), 0.025, lift=0.03)


def _straps(brush: Brush, color: Color, rng: Generator) -> None:
    g = brush.geometry
    for side in (-1, 1):
        for y, ear in ((g.upper_side, -0.08), (g.lower_side, 0.15)):
            start = side * float(g.half_width(y))
            brush.line(np.array([(start, y), (side * g.width * 1.0, ear)]), color, rng.uniform(0.02, 0.035))


def _shadow(brush: Brush, color: Color, rng: Generator) -> None:
    """One side of the mask lies in the shade."""
    g = brush.geometry
    x = float(rng.choice((-1.0, 1.0))) * rng.uniform(0.35, 0.7)
    edge = np.concatenate((g.mask_edge(0.02), g.mask_edge(0.98)[::-1]))
    keep = edge[np.abs(edge[:, 0]) > abs(x) * g.width]
    keep = keep[np.sign(keep[:, 0]) == np.sign(x)]
    if len(keep) > 2:
        brush.fill(keep, shade(color, rng.uniform(0.8, 0.95)), lift=0.03)


def _patterned(image: Image.Image, geometry: Geometry, color: Color, rng: Generator) -> None:
    """Stripes, dots or blots, seen through the mask's polygon."""
    pattern = Image.new("RGB", image.size, color)
    draw = ImageDraw.Draw(pattern)
    size, other = image.width, any_color(rng)
    step = max(4, round(geometry.scale * rng.uniform(0.1, 0.3)))
    kind = rng.integers(3)
    if kind == 0:
        slant = rng.uniform(-1, 1) * size
        for x in range(-size, 2 * size, step):
            draw.line([(x, 0), (x + slant, size)], fill=other, width=max(1, step // 3))
    elif kind == 1:
        for x in range(0, size, step):
            for y in range(0, size, step):
                draw.ellipse([x, y, x + step // 2, y + step // 2], fill=other)
    else:
        for x, y, r in rng.uniform(0, 1, (40, 3)) * (size, size, step):
            draw.ellipse([x - r, y - r, x + r, y + r], fill=other)
    stencil = Image.new("L", image.size)
    ImageDraw.Draw(stencil).polygon(geometry.mask_pixels().ravel().tolist(), fill=255)
    image.paste(pattern, mask=stencil)
