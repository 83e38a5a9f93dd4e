"""Biases and BatchNorm values that outlive their channel when only its weights are pruned.

A convolution's channel without weights still gives its bias, and the BatchNorm behind it turns that into the
constant β − γμ/σ. A zero-padded layer further on sees that constant inside the image and zeros around it, so the
channel cannot be removed exactly. With bias, γ and β zero as well the channel is exactly 0, before ReLU or after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from sparsenet.errors import MaskError
from training.pruning.prunable import find_held, unwrap


def affine_masks(
    model: nn.Module, weights: Mapping[str, Tensor], batch_norms: Mapping[str, Sequence[str]]
) -> dict[str, Tensor]:
    """Masks, bool (C_out,), of the bias, γ and β of those output channels that the weight masks leave empty.

    The bias is the layer's own; γ and β are those of the BatchNorms that normalise its channels (layer → BatchNorms, by
    name; see ``channel_flow``). Parameters that two modules share stay as they are.
    """
    root = unwrap(model)
    owners = Counter(id(parameter) for _, parameter in root.named_parameters(remove_duplicate=False))
    masks: dict[str, Tensor] = {}
    for name, mask in weights.items():
        layer = name.rpartition(".")[0]
        values = [name.removesuffix("weight") + "bias"]
        for batch_norm in batch_norms.get(layer, ()):
            values += [f"{batch_norm}.weight", f"{batch_norm}.bias"]
        for value in values:
            parameter = _parameter(root, value)
            if parameter is not None and owners[id(parameter)] == 1:
                masks[value] = mask.flatten(1).any(dim=1)
    return masks


def _parameter(model: nn.Module, name: str) -> nn.Parameter | None:
    try:
        return find_held(model, name).parameter
    except MaskError:
        return None
