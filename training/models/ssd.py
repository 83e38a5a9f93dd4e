"""SSD: heads right on the maps of a classifier (Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from training.models.face_detector import FaceDetector
from training.models.layers import initialise
from training.models.narrow_mobilenet import MobileNetTrunk


class SSD(FaceDetector):
    """MobileNetV1 at width 0.25, and 3×3 heads on its maps of strides 8, 16 and 32.

    Input (N, 3, H, W), made for 256×256; outputs, and the priors that stand for SSD's default boxes, as of
    ``FaceDetector``. There is neither a path from coarse to fine nor a context module: of its 336,624 convolution
    weights 129,024 are the heads'.
    """

    input_size = 256

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MobileNetTrunk()
        self._add_heads(MobileNetTrunk.channels, 3)
        initialise(self.backbone)
        self._scale_heads()

    def levels(self, x: Tensor) -> Sequence[Tensor]:
        """The backbone's maps."""
        maps: tuple[Tensor, ...] = self.backbone(x)
        return maps
