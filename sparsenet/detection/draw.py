"""Faces drawn on their image: boxes, scores and landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsenet.detection.decode import Detections
from sparsenet.io.image_file import require_pillow

if TYPE_CHECKING:
    from PIL.Image import Image

BOX_COLOR = (0, 229, 255)
#: Colours of the eyes, the nose and the corners of the mouth.
LANDMARK_COLORS = ((64, 156, 255), (64, 156, 255), (50, 215, 75), (255, 69, 58), (255, 69, 58))


def draw_detections(image: Image, found: Detections) -> Image:
    """A copy of ``image`` with a box, a score in percent and five points for every face."""
    require_pillow("drawing on an image")
    from PIL import ImageDraw, ImageFont

    drawn = image.convert("RGB")
    brush = ImageDraw.Draw(drawn)
    unit = max(image.size) / 640
    for box, score, points in zip(found.boxes, found.scores, found.landmarks, strict=True):
        left, top, right, bottom = box.tolist()
        brush.rectangle((left, top, right, bottom), outline=BOX_COLOR, width=max(1, round(1.5 * unit)))
        radius = max(1.0, min(right - left, 90 * unit) / 30)
        for (x, y), color in zip(points.tolist(), LANDMARK_COLORS, strict=True):
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
        if right - left >= 24 * unit:  # on smaller faces a number would hide the neighbours
            font = ImageFont.load_default(size=max(9, round(10 * unit)))
            label = f"{100 * score:.0f}"
            text = brush.textbbox((left, top), label, font=font, anchor="lb")
            if text[1] < 0:
                text = brush.textbbox((left, top), label, font=font, anchor="lt")
            brush.rectangle(text, fill=BOX_COLOR)
            brush.text((text[0], text[3]), label, fill=(0, 0, 0), font=font, anchor="lb")
    return drawn
