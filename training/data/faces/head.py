"""The person behind the mask: head, hair, eyes, nose, mouth, beard, glasses."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from training.data.faces.geometry import CHIN, EYES, LOWER_LIP, MOUTH, NOSE_BOTTOM, NOSE_BRIDGE, NOSE_TIP
from training.data.faces.paint import Brush, Color, any_color, ellipse, mix, pick, shade

_SKINS: tuple[Color, ...] = (
    (250, 222, 200), (238, 200, 170), (224, 178, 140), (200, 150, 112), (165, 115, 80), (125, 84, 58), (84, 56, 42),
)  # fmt: skip
_HAIRS: tuple[Color, ...] = (
    (25, 20, 18), (60, 40, 28), (105, 70, 42), (165, 120, 70), (215, 185, 130), (150, 70, 40), (150, 150, 150),
    (225, 222, 218),
)  # fmt: skip
_IRISES: tuple[Color, ...] = ((60, 40, 25), (90, 65, 35), (70, 110, 140), (80, 110, 70))


def _arc(x0: float, x1: float, y: float, rise: float, points: int = 9) -> np.ndarray:
    """A line from (x0, y) to (x1, y) whose middle lies ``rise`` lower."""
    t = np.linspace(-1, 1, points)
    return np.stack(((x0 + x1) / 2 + (x1 - x0) / 2 * t, y + rise * (1 - t**2)), 1)


class Head:
    """One random person."""

    def __init__(self, rng: Generator) -> None:
        self.rng = rng
        self.skin = pick(rng, _SKINS)
        self.hair = pick(rng, _HAIRS)
        self.cover = str(
            rng.choice(("hair", "long", "bald", "hat", "scarf"), p=(0.36, 0.27, 0.1, 0.15, 0.12))
        )
        self.cloth = any_color(rng)
        self.light = float(rng.choice((-1.0, 1.0)))
        self.contrast = rng.uniform(0.05, 0.25)

    def back(self, brush: Brush) -> None:
        """What lies behind the face: long hair or scarf, neck and shirt."""
        rng, g = self.rng, brush.geometry
        if self.cover == "long":
            w, low = g.width * rng.uniform(1.15, 1.4), rng.uniform(0.7, 1.7)
            self._behind(brush, [(-w, -0.6), (w, -0.6), (w * 1.05, low), (-w * 1.05, low)], self.hair)
        shirt = any_color(rng)
        neck = g.width * rng.uniform(0.5, 0.65)
        slope = rng.uniform(1.3, 1.6)
        if self.cover == "scarf":
            self._behind(brush, [(-0.8, 0.3), (0.8, 0.3), (1.2, 2.5), (-1.2, 2.5)], shade(self.cloth, 0.8))
        else:
            self._behind(brush, [(-neck, 0.5), (neck, 0.5), (neck * 1.1, 2.0), (-neck * 1.1, 2.0)],
                         shade(self.skin, 0.78))  # fmt: skip
        shoulders = [
            (-neck * 1.1, slope),
            (0, slope + rng.uniform(0.05, 0.4)),
            (neck * 1.1, slope),
            (1.6, slope + 0.3),
        ]
        self._behind(brush, [*shoulders, (1.9, 4.0), (-1.9, 4.0), (-1.6, slope + 0.3)], shirt)

    def face(self, brush: Brush) -> None:
        """Ears, skin, eyes, brows, nose, mouth and beard."""
        rng, g, skin = self.rng, brush.geometry, self.skin
        if self.cover in ("bald", "hair", "hat"):
            for side in (-1, 1):
                ear = ellipse(side * g.width * 1.02, 0.02, 0.1, 0.22)
                brush.fill(ear, shade(skin, 0.9))
        brush.fill(g.outline(), skin)
        dark = shade(skin, 1 - self.contrast)
        half = g.outline(bottom=0.99)[:24] * (self.light, 1.0)
        inner = half * (rng.uniform(0.3, 0.6), 1.0)
        brush.fill(np.concatenate((half, inner[::-1])), dark)
        brush.fill(
            ellipse(self.light * -0.4, 0.2, 0.18, 0.14), mix(skin, (230, 110, 100), rng.uniform(0.0, 0.2))
        )
        self._beard(brush)
        self._eyes(brush)
        self._nose(brush)
        self._mouth(brush)
        chin = shade(skin, rng.uniform(0.82, 0.93))
        brush.line(_arc(-0.13, 0.13, LOWER_LIP + 0.11, -0.03), chin, 0.03)
        brush.fill(ellipse(0, CHIN - 0.08, 0.12, 0.07), mix(skin, (255, 255, 255), rng.uniform(0.0, 0.15)))
        brush.line(g.outline(top=0.55, bottom=1.0, grow=0.99), shade(skin, 0.72), 0.025)

    def front(self, brush: Brush) -> None:
        """What lies before the face: hair line, hat or scarf, and glasses."""
        rng, g = self.rng, brush.geometry
        line = rng.uniform(-0.78, -0.5)
        if self.cover in ("hair", "long"):
            self._cap(brush, line, self.hair, rng.uniform(1.05, 1.18), rng.uniform(0.02, 0.25))
        elif self.cover == "hat":
            self._cap(brush, line, self.cloth, rng.uniform(1.08, 1.2), 0.05)
            brim = _arc(-g.width * 1.1, g.width * 1.1, line, rng.uniform(-0.05, 0.1))
            brush.line(brim, shade(self.cloth, 0.7), rng.uniform(0.06, 0.16))
        elif self.cover == "scarf":
            outer, inner = g.outline(top=-1.3, grow=1.22), g.outline(top=line, grow=0.96)
            outer[:, 1] *= 1.04
            for side in (slice(0, 24), slice(24, 48)):
                piece = np.concatenate((outer[side][: 20 if side.start == 0 else None], inner[side][::-1]))
                brush.fill(piece, self.cloth)
            self._cap(brush, line, self.cloth, 1.18, 0.0)
        if rng.random() < 0.3:
            self._glasses(brush)

    def _behind(self, brush: Brush, points: list[tuple[float, float]], color: Color) -> None:
        """A polygon that does not turn with the face: fixed to the body."""
        g = brush.geometry
        pixels = np.array(points) * g.scale + np.asarray(g.center)
        pixels[:, 0] += (np.array(points)[:, 1] < 1.2) * np.sin(g.yaw) * 0.1 * g.scale - np.sin(
            g.roll
        ) * g.scale * 0.8
        brush.draw.polygon(pixels.ravel().tolist(), fill=color)

    def _cap(self, brush: Brush, line: float, color: Color, grow: float, sides: float) -> None:
        rng, g = self.rng, brush.geometry
        outer = g.outline(top=-1.15, bottom=line + sides, grow=grow)
        outer[:, 1] = np.where(outer[:, 1] < -0.6, -0.6 + (outer[:, 1] + 0.6) * grow * 1.05, outer[:, 1])
        w = float(g.half_width(line + sides))
        part = rng.uniform(-0.5, 0.5)
        inner = np.array([(-w, line + sides), (-w * 0.7, line), (part * w, line - rng.uniform(-0.05, 0.2)),
                          (w * 0.7, line), (w, line + sides)])  # fmt: skip
        brush.fill(np.concatenate((outer[:24], inner[::-1], outer[24:])), color)
        for _ in range(int(rng.integers(0, 6))):
            x = rng.uniform(-0.6, 0.6) * w
            strand = np.array([(x, -1.1), (x * 1.1, line - 0.2)])
            brush.line(strand, shade(color, rng.uniform(0.7, 1.3)), rng.uniform(0.02, 0.06))

    def _beard(self, brush: Brush) -> None:
        rng, g = self.rng, brush.geometry
        kind = rng.random()
        if kind < 0.72 or self.cover in ("scarf", "long"):
            return
        color = mix(self.skin, self.hair, rng.uniform(0.3, 0.85))
        brush.fill(g.outline(top=rng.uniform(0.3, 0.7), bottom=1.0, grow=1.0), color)
        brush.fill(ellipse(0, 0.36, g.width * 0.62, 0.3), self.skin)
        if kind > 0.85:
            brush.fill(ellipse(0, 0.4, 0.24, 0.05), color)

    def _eyes(self, brush: Brush) -> None:
        rng = self.rng
        apart, wide, open_ = rng.uniform(0.28, 0.36), rng.uniform(0.11, 0.15), rng.uniform(0.03, 0.08)
        look = rng.uniform(-0.04, 0.04)
        iris = pick(rng, _IRISES)
        brow, tilt, thick = rng.uniform(0.13, 0.24), rng.uniform(-0.05, 0.05), rng.uniform(0.03, 0.08)
        for side in (-1, 1):
            x = side * apart
            brush.fill(ellipse(x, EYES, wide * 1.25, open_ * 1.9), shade(self.skin, 0.85))
            brush.fill(ellipse(x, EYES, wide, open_), (240, 236, 230))
            brush.fill(ellipse(x + look, EYES, open_ * 0.95, open_ * 0.95, 10), iris)
            brush.fill(ellipse(x + look, EYES, open_ * 0.45, open_ * 0.45, 8), (12, 10, 10))
            brush.line(_arc(x - wide, x + wide, EYES, -open_), shade(self.skin, 0.4), 0.025)
            line = _arc(x - wide * 1.2, x + wide * 1.2, EYES - brow, -0.05)
            line[:, 1] += side * tilt * (line[:, 0] - x) / wide
            brush.line(line, mix(self.skin, self.hair, 0.8), thick)

    def _nose(self, brush: Brush) -> None:
        rng = self.rng
        w = rng.uniform(0.1, 0.16)
        side = np.array(
            [(0.02, NOSE_BRIDGE - 0.05), (0.05, NOSE_BRIDGE), (w, NOSE_BOTTOM - 0.03), (0.0, NOSE_TIP)]
        )
        brush.fill(side * (self.light, 1), shade(self.skin, rng.uniform(0.72, 0.86)))
        brush.fill(ellipse(0, NOSE_TIP - 0.01, w * 0.75, 0.07), mix(self.skin, (255, 245, 235), 0.2))
        for s in (-1, 1):
            brush.fill(ellipse(s * w * 0.55, NOSE_BOTTOM - 0.01, 0.035, 0.022, 8), shade(self.skin, 0.35))
            brush.line(
                _arc(s * w * 0.8, s * w * 1.1, NOSE_BOTTOM - 0.04, -0.04, 5), shade(self.skin, 0.6), 0.02
            )

    def _mouth(self, brush: Brush) -> None:
        rng = self.rng
        w, open_ = rng.uniform(0.17, 0.28), max(0.0, rng.normal(0.0, 0.03))
        smile = rng.uniform(-0.03, 0.06)
        lips = mix(self.skin, (170, 40, 60), rng.uniform(0.25, 0.75))
        upper, lower = _arc(-w, w, MOUTH - smile, smile - 0.06), _arc(-w, w, MOUTH - smile, smile + 0.07)
        brush.fill(np.concatenate((upper, lower[::-1])), lips)
        middle = _arc(-w, w, MOUTH - smile, smile)
        if open_ > 0.02:
            inside = np.concatenate(
                (middle - (0, 0.01), _arc(-w * 0.9, w * 0.9, MOUTH - smile, smile + open_)[::-1])
            )
            brush.fill(inside, (235, 230, 222) if rng.random() < 0.6 else (60, 20, 20))
        brush.line(middle, shade(lips, 0.45), 0.025)

    def _glasses(self, brush: Brush) -> None:
        rng = self.rng
        frame = pick(rng, ((20, 20, 22), (90, 60, 40), (150, 150, 155), (130, 30, 30)))
        r = rng.uniform(0.17, 0.22)
        for side in (-1, 1):
            ring = ellipse(side * 0.32, EYES, r * 1.15, r * rng.uniform(0.75, 0.95))
            if rng.random() < 0.12:
                brush.fill(ring, (30, 30, 35), lift=0.05)
            brush.line(np.concatenate((ring, ring[:1])), frame, 0.03, lift=0.05)
            temple = np.array([(side * (0.32 + r * 1.1), EYES), (side * brush.geometry.width, EYES)])
            brush.line(temple, frame, 0.03)
        brush.line(np.array([(-0.33 + r, EYES - 0.02), (0.33 - r, EYES - 0.02)]), frame, 0.03, lift=0.05)
