"""Where the parts of a drawn face lie: pose, landmarks and the edges of the mask.

Face frame: x to the right of the image, y down, unit about half the height of a face; (0, 0) lies between the
eyes and the nose, the chin at (0, 1). Depth z points at the camera and makes features shift as the head turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

CORRECT, UNCOVERED_CHIN, UNCOVERED_NOSE, UNCOVERED_NOSE_AND_MOUTH = range(4)

EYES = -0.2
NOSE_BRIDGE = -0.08
NOSE_TIP = 0.24
NOSE_BOTTOM = 0.29
MOUTH = 0.53
UPPER_LIP = 0.46
LOWER_LIP = 0.61
CHIN = 0.93
SKULL = -1.15

# Of each class, the range of the mask's upper and lower edge on the middle line of the face.
_EDGES = {
    CORRECT: ((-0.04, 0.1), (1.05, 1.16)),
    UNCOVERED_CHIN: ((-0.04, 0.1), (0.68, 0.75)),
    UNCOVERED_NOSE: ((0.36, 0.42), (1.05, 1.16)),
    UNCOVERED_NOSE_AND_MOUTH: ((0.68, 0.76), (1.06, 1.2)),
}


@dataclass(frozen=True)
class Framing:
    """How a face may lie in its picture: the ranges that poses are drawn from.

    Attributes:
        center: ranges of x and of y of the head's middle, as shares of the canvas.
        scale: range of the unit of the face frame, as a share of the canvas.
        yaw, pitch: largest angles to either side, radians.
        roll: standard deviation, radians.
    """

    center: tuple[tuple[float, float], tuple[float, float]]
    scale: tuple[float, float]
    yaw: float
    pitch: float
    roll: float


#: As photographs that were aligned by the eyes show it, MaskedFace-Net's among them: the face fills the picture.
PORTRAIT = Framing(((0.46, 0.54), (0.45, 0.51)), (0.36, 0.46), yaw=0.35, pitch=0.18, roll=0.09)
#: As a camera in a room sees it.
SNAPSHOT = Framing(((0.42, 0.58), (0.46, 0.58)), (0.26, 0.4), yaw=0.5, pitch=0.28, roll=0.16)


@dataclass(frozen=True)
class Geometry:
    """Pose of a head, its proportions and its mask, in pixels of the canvas and in the face frame."""

    center: tuple[float, float]  # pixels
    scale: float  # pixels per unit of the face frame
    yaw: float  # radians, all three
    pitch: float
    roll: float
    width: float  # half width of the face at eye level
    jaw: float  # how much the face narrows to the chin, 0 to 1
    upper_edge: float  # y of the mask on the middle line
    lower_edge: float
    upper_side: float  # y of the mask's corners at the cheeks
    lower_side: float
    peak: float  # 1: a straight rise of the upper edge to the nose; higher: a flat edge that bends at the cheeks

    @classmethod
    def sample(cls, rng: Generator, label: int, canvas: float, framing: Framing = PORTRAIT) -> Geometry:
        """A random pose with the mask as ``label`` says, on a canvas of ``canvas`` × ``canvas`` pixels."""
        upper, lower = _EDGES[label]
        upper_edge, lower_edge = rng.uniform(*upper), rng.uniform(*lower)
        if label == UNCOVERED_NOSE_AND_MOUTH:
            upper_side = rng.uniform(0.52, 0.72)
        else:
            upper_side = upper_edge + rng.uniform(0.0, 0.22)
        lower_side = rng.uniform(0.5, 0.64) if label == UNCOVERED_CHIN else rng.uniform(0.76, 0.86)
        scale = canvas * rng.uniform(*framing.scale)
        across, down = framing.center
        return cls(
            center=(canvas * rng.uniform(*across), canvas * rng.uniform(*down)),
            scale=scale,
            yaw=rng.uniform(-framing.yaw, framing.yaw),
            pitch=rng.uniform(-framing.pitch, framing.pitch),
            roll=rng.normal(0.0, framing.roll),
            width=rng.uniform(0.7, 0.84),
            jaw=rng.uniform(0.1, 0.4),
            upper_edge=upper_edge,
            lower_edge=lower_edge,
            upper_side=upper_side,
            lower_side=lower_side,
            peak=rng.uniform(1.2, 2.6),
        )

    def half_width(self, y: np.ndarray | float) -> np.ndarray:
        """Half width of the face at height ``y`` of the face frame; 0 above the skull and below the chin."""
        y = np.asarray(y, dtype=np.float64)
        t = np.clip(np.where(y < 0, y / SKULL, y), 0.0, 1.0) ** 2.3
        return self.width * (1 - t) ** (1 / 2.3) * (1 - self.jaw * np.clip(y, 0.0, 1.0) ** 1.5)

    def depth(self, points: np.ndarray) -> np.ndarray:
        """z of points (k, 2) of the face: a rounded head with a nose on it."""
        x, y = points[:, 0], points[:, 1]
        head = 0.75 * np.sqrt(np.clip(1 - (x / 0.88) ** 2 - (y / 1.4) ** 2, 0.0, None))
        along = np.interp(y, (NOSE_BRIDGE, NOSE_TIP, NOSE_BOTTOM + 0.05), (0.0, 1.0, 0.0))
        return head + 0.2 * along * np.exp(-((x / 0.15) ** 2))

    def project(self, points: np.ndarray, lift: float = 0.0) -> np.ndarray:
        """Pixels (k, 2) of points (k, 2) of the face frame, ``lift`` in front of the skin."""
        z = self.depth(points) + lift
        x = points[:, 0] * np.cos(self.yaw) + z * np.sin(self.yaw)
        y = points[:, 1] * np.cos(self.pitch) + z * np.sin(self.pitch)
        c, s = np.cos(self.roll), np.sin(self.roll)
        return np.stack((c * x - s * y, s * x + c * y), axis=1) * self.scale + np.asarray(self.center)

    def outline(self, top: float = SKULL, bottom: float = 1.0, grow: float = 1.0) -> np.ndarray:
        """The face from ``top`` to ``bottom`` as a polygon (k, 2) in the face frame, its width times ``grow``."""
        y = (top + bottom) / 2 - (bottom - top) / 2 * np.cos(np.linspace(0, np.pi, 24))
        w = self.half_width(y) * grow
        return np.concatenate((np.stack((w, y), 1), np.stack((-w, y), 1)[::-1]))

    def mask_edge(self, share: float, points: int = 17) -> np.ndarray:
        """A line (points, 2) across the mask, left to right: its upper edge at ``share`` 0, its lower at 1."""
        t = np.linspace(-1, 1, points)
        side = self.upper_side + share * (self.lower_side - self.upper_side)
        upper = self.upper_edge + (self.upper_side - self.upper_edge) * np.abs(t) ** self.peak
        lower = self.lower_edge + (self.lower_side - self.lower_edge) * np.abs(t) ** 2.6
        return np.stack((t * float(self.half_width(side)) * 1.02, upper + share * (lower - upper)), 1)

    def mask(self) -> np.ndarray:
        """The mask as a polygon (k, 2) in the face frame."""
        y = np.linspace(self.upper_side, self.lower_side, 7)[1:-1]
        w = self.half_width(y) * 1.03
        right, left = np.stack((w, y), 1), np.stack((-w, y), 1)[::-1]
        return np.concatenate((self.mask_edge(0.0), right, self.mask_edge(1.0)[::-1], left))

    def mask_pixels(self) -> np.ndarray:
        """The mask as a polygon (k, 2) in pixels of the canvas."""
        return self.project(self.mask(), lift=0.03)

    def landmarks(self) -> dict[str, tuple[float, float]]:
        """Pixels of nose tip, mouth and chin."""
        names = {"nose_tip": NOSE_TIP, "mouth": MOUTH, "chin": CHIN}
        pixels = self.project(np.array([(0.0, y) for y in names.values()]))
        return {name: (float(x), float(y)) for name, (x, y) in zip(names, pixels, strict=True)}
