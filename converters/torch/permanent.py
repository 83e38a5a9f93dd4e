"""A copy of a module for conversion: every weight is a plain parameter, masked ones are zero."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sparsenet.checks import shown
from sparsenet.errors import MaskError

if TYPE_CHECKING:
    import torch


def permanent_copy(module: torch.nn.Module) -> torch.nn.Module:
    """A copy whose weights are plain parameters: pruning, normalizations and parametrizations are made permanent.

    Sparse tensors (COO, CSR and their like) become dense.
    """
    import torch
    from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    # Reparametrised weights are results of autograd, which deepcopy refuses; they are recomputed anyway.
    memo = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    for part in module.modules():
        for name, tensor in (*part._parameters.items(), *part._buffers.items()):
            if tensor is not None and tensor.layout != torch.strided:
                dense = tensor.detach().to_dense()
                held = name in part._parameters
                memo[id(tensor)] = torch.nn.Parameter(dense, tensor.requires_grad) if held else dense
    plain = copy.deepcopy(module, memo)
    flags = [(part, part.training) for part in plain.modules()]
    plain.eval()  # a spectral norm would take a step each time it is asked
    for part in plain.modules():
        for hook in list(part._forward_pre_hooks.values()):
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(part, hook._tensor_name)
            elif isinstance(hook, WeightNorm):
                remove_weight_norm(part, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(part, hook.name)
        if parametrize.is_parametrized(part):
            # The weight is a property of a class made for this module, which the copy shares with the original.
            made = type(part)
            part.__class__ = type(made.__name__, made.__bases__, dict(vars(made)))
        for parameter in list(getattr(part, "parametrizations", {})):
            parametrize.remove_parametrizations(part, parameter, leave_parametrized=True)
    for part, training in flags:
        part.training = training
    return plain


def apply_masks(module: torch.nn.Module, masks: Mapping[str, Any]) -> None:
    """Make the weights of a module zero where their mask is.

    Raises:
        MaskError: a mask fits no parameter or holds other values than 0 and 1.
    """
    import torch

    if not isinstance(masks, Mapping):
        raise MaskError(f"masks must map names of parameters to masks, got {shown(masks)}")
    parameters = dict(module.named_parameters(remove_duplicate=False))
    for name, given in masks.items():
        try:
            mask = torch.as_tensor(given).cpu()
            mask = mask if mask.layout == torch.strided else mask.to_dense()
        except (TypeError, ValueError, RuntimeError):
            raise MaskError(f"mask '{name}' must be an array of 0 and 1, got {shown(given)}") from None
        if name not in parameters:
            known = ", ".join(list(parameters)[:5])
            raise MaskError(f"mask '{name}' fits no parameter of the module; it has {known}, ...")
        if parameters[name].shape != mask.shape:
            raise MaskError(
                f"mask '{name}' is {tuple(mask.shape)}, its parameter {tuple(parameters[name].shape)}"
            )
        if not bool(((mask == 0) | (mask == 1)).all()):
            raise MaskError(f"mask '{name}' holds values other than 0 and 1")
        with torch.no_grad():
            parameters[name].masked_fill_(mask == 0, 0.0)
