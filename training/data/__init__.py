"""Data: labelled images from MaskedFace-Net, any image folder or the generator, and their augmentation.

Every source ends as ``LabeledImages``, uint8 in memory; ``Augment`` (training) or ``to_float`` (evaluation) turns
a batch of it into network input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsenet.lazy import lazy_names

if TYPE_CHECKING:
    from training.data.augment import Augment, balanced_weights
    from training.data.image_folder import load_image_folder
    from training.data.images import NORMALISATION, LabeledImages, to_float
    from training.data.load import load_images
    from training.data.maskedface_net import CLASS_NAMES, load_maskedface_net

__all__ = [
    "CLASS_NAMES",
    "NORMALISATION",
    "Augment",
    "LabeledImages",
    "balanced_weights",
    "load_image_folder",
    "load_images",
    "load_maskedface_net",
    "to_float",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Augment": "augment",
        "balanced_weights": "augment",
        "load_image_folder": "image_folder",
        "NORMALISATION": "images",
        "LabeledImages": "images",
        "to_float": "images",
        "load_images": "load",
        "CLASS_NAMES": "maskedface_net",
        "load_maskedface_net": "maskedface_net",
    },
)
