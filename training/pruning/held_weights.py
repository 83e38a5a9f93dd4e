"""Where the numbers of a layer's weight are kept, whatever holds them, so that a zero written there is a zero in use.

A weight is mostly a parameter of its own. ``torch.nn.utils.prune`` keeps it in ``weight_orig`` beside a mask, weight
normalisation as a direction and a magnitude (Salimans and Kingma 2016), spectral normalisation divides it by its
largest singular value (Miyato et al. 2018). Each of these makes zeros of zeros; other parametrizations need not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from sparsenet.errors import MaskError


@dataclass(frozen=True)
class HeldWeight:
    """The parameter behind the weight of a layer.

    Attributes:
        parameter: of the weight's shape; where it is zero, so is the weight.
        magnitude: of weight normalisation, one number for each slice of ``parameter`` that is normalised as one.
    """

    parameter: nn.Parameter
    magnitude: nn.Parameter | None = None

    @torch.no_grad()
    def zero(self, pruned: Tensor) -> None:
        """Make the weight zero where ``pruned`` is True, by writing zeros, so that no NaN survives."""
        if self.magnitude is not None:
            # A direction of zeros has no length to divide by; a magnitude of zero says the same.
            axes = [i for i, size in enumerate(self.magnitude.shape) if size == 1 and pruned.shape[i] != 1]
            gone = pruned if not axes else pruned.amin(axes, keepdim=True)
            self.magnitude.masked_fill_(gone.reshape(self.magnitude.shape), 0)
            lost = gone.expand_as(pruned) & ~torch.isfinite(self.parameter)
            self.parameter.masked_fill_(lost, 1)
            pruned = pruned & ~gone
        self.parameter.masked_fill_(pruned, 0)


def held_weight(module: nn.Module, attribute: str = "weight", layer: str = "") -> HeldWeight | None:
    """What holds ``module.attribute``; None where the module has no such parameter, in any form.

    ``layer`` is the module's name, for messages. Raises MaskError for a parametrization under which a zero need not
    stay one, for a lazy module that has no weights yet, and for one on the meta device, which has no numbers.
    """
    name = f"{layer}.{attribute}" if layer else attribute
    if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
        raise MaskError(f"'{name}' has no numbers yet: it is a lazy layer; run the model once, or exclude it")
    held = _held(module, attribute, name)
    if held is not None and held.parameter.is_meta:
        raise MaskError(
            f"'{name}' is on the meta device and has no numbers: load its weights first (model.to_empty, then "
            "load_state_dict)"
        )
    return held


def is_computed(module: nn.Module) -> bool:
    """Whether a parameter of the module is made of others before each forward pass, other than by a mask."""
    hooks = module._forward_pre_hooks.values()
    return parametrize.is_parametrized(module) or any(
        isinstance(hook, WeightNorm | SpectralNorm) for hook in hooks
    )


def effective(module: nn.Module, attribute: str, held: HeldWeight) -> Tensor:
    """The weight that the forward pass uses, detached."""
    if parametrize.is_parametrized(module, attribute):
        with torch.no_grad():
            value: Tensor = getattr(module, attribute)
        return value.detach()
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm) and hook.name == attribute:
            computed: Tensor = hook.compute_weight(module)
            return computed.detach()
        if isinstance(hook, SpectralNorm) and hook.name == attribute:
            return hook.compute_weight(module, do_power_iteration=False).detach()
    mask = dict(module.named_buffers(recurse=False)).get(f"{attribute}_mask")
    return held.parameter.detach() if mask is None else held.parameter.detach() * mask


def _held(module: nn.Module, attribute: str, name: str) -> HeldWeight | None:
    own = module._parameters
    if parametrize.is_parametrized(module, attribute):
        chain: Any = module.parametrizations[attribute]  # type: ignore[index]
        return _parametrized(chain, name)
    if f"{attribute}_v" in own and any(
        isinstance(hook, WeightNorm) and hook.name == attribute for hook in module._forward_pre_hooks.values()
    ):
        return HeldWeight(_parameter(own, f"{attribute}_v"), _parameter(own, f"{attribute}_g"))
    for key in (attribute, f"{attribute}_orig"):
        if own.get(key) is not None:
            return HeldWeight(_parameter(own, key))
    return None


def _parametrized(chain: parametrize.ParametrizationList, name: str) -> HeldWeight:
    first = chain[0]
    if len(chain) == 1 and isinstance(first, parametrizations._WeightNorm):
        own = chain._parameters
        return HeldWeight(_parameter(own, "original1"), _parameter(own, "original0"))
    if len(chain) == 1 and isinstance(first, parametrizations._SpectralNorm):
        return HeldWeight(_parameter(chain._parameters, "original"))
    kinds = ", ".join(type(part).__name__ for part in chain)
    raise MaskError(
        f"'{name}' is computed by a parametrization ({kinds}), under which a pruned weight need not stay zero: make it "
        "permanent with torch.nn.utils.parametrize.remove_parametrizations, or exclude the layer"
    )


def _parameter(parameters: dict[str, nn.Parameter | None], key: str) -> nn.Parameter:
    parameter = parameters[key]
    assert parameter is not None
    return parameter
