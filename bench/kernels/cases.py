"""Which kernel families are timed on which layers, at which densities."""

from __future__ import annotations

from dataclasses import dataclass

from bench.subjects.layers import BY_FAMILY, LayerShape
from sparsenet.errors import InputError, SparsenetError
from sparsenet.latency.kinds import in_bytes, is_sparse
from sparsenet.targets.cuda.families import CUDA_FAMILIES
from sparsenet.targets.registry import FAMILIES
from sparsenet.text.nearest import did_you_mean

DENSITIES = (0.5, 0.2, 0.1, 0.05)
#: Families that compute nothing, and why they are not timed.
NOT_TIMED = {
    **dict.fromkeys(("f32_nms_none_flat", "f32_nonzero_none_flat"), "takes as long as the data make it"),
    **dict.fromkeys(
        (name for name in FAMILIES if in_bytes(name) or "dequantize" in name), "computes in 8 bits"
    ),
    **dict.fromkeys(CUDA_FAMILIES, "runs on a GPU, where python -m bench.cuda times it"),
}


@dataclass(frozen=True)
class Case:
    """A family on a layer at a density of its weights (None without weights)."""

    family: str
    layer: LayerShape
    density: float | None


def limited_by_memory(family: str) -> bool:
    """Whether a family has less than one multiply-add for each float it reads."""
    return not family.startswith(("f32_conv_", "f32_depthwise_"))


def cases(quick: bool, families: tuple[str, ...] = ()) -> list[Case]:
    """Everything to time; ``quick`` takes fewer layers and densities.

    Raises:
        SparsenetError: a family of the registry has no layers in ``BY_FAMILY``.
        InputError: one of ``families`` is in no family's name.
    """
    forgotten = sorted(FAMILIES.keys() - BY_FAMILY.keys() - NOT_TIMED.keys())
    if forgotten:
        raise SparsenetError(
            f"no layers to time {', '.join(forgotten)} on: add them to bench.subjects.layers.BY_FAMILY"
        )
    found = []
    for family, layers in BY_FAMILY.items():
        densities: tuple[float | None, ...] = (None,)
        if is_sparse(family):
            densities = (0.2, 0.1) if quick else DENSITIES
        elif layers[0].weight_shape and family not in ("f32_relayout_none_any", "f32_fill_none_any"):
            densities = (1.0,)
        chosen = layers[1::4] or layers[:1] if quick else layers
        found += [Case(family, layer, density) for layer in chosen for density in densities]
    found = [case for case in found if not families or any(word in case.family for word in families)]
    for word in families:
        if not any(word in family for family in BY_FAMILY):
            hint = did_you_mean(word, BY_FAMILY) or f"; there are {', '.join(BY_FAMILY)}"
            raise InputError(f"no kernel family has '{word}' in its name{hint}")
    return found
