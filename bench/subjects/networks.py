"""The networks of the comparison, which the zoo makes."""

from __future__ import annotations

import re

from training.zoo import CLASSES, build_graph, build_module

__all__ = ["CLASSES", "MODELS", "USUAL_MODELS", "build_graph", "build_module"]

#: Name → classes of a classifier; None for a face detector. Without those of Keras's padding, which makes no difference
#: to speed, and without narrow ones.
MODELS = {name: classes for name, classes in CLASSES.items() if not re.search(r"-keras$|-x0\.", name)}

#: Four that differ: small and large, with depthwise layers and without.
USUAL_MODELS = ("minixception-128-256", "mobilenetv1", "maskcnn", "resnet50")
