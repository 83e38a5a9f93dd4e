"""``Masks``: which weights of a model are kept. Holds, combines, applies, makes permanent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from sparsenet.checks import shown
from sparsenet.errors import CheckpointError, MaskError
from training.pruning import mask_file
from training.pruning.prunable import (
    checked_model,
    effective_weight,
    find_held,
    prunable_weights,
    unwrap,
)


class Masks(Mapping[str, Tensor]):
    """Parameter name → bool tensor of the parameter's shape, True where the weight is kept.

    ``info`` says how they were found (method, seed, sparsity or keep, scope, …) and travels with the file.
    ``affine`` names those that are no weights but the biases and BatchNorm values of pruned channels: held at zero
    like the others, counted apart. Tensors given as numbers must hold 0 and 1 only; MaskError names the layer
    otherwise.
    """

    def __init__(
        self,
        masks: Mapping[str, Tensor],
        info: Mapping[str, Any] | None = None,
        affine: Iterable[str] = (),
    ) -> None:
        if not isinstance(masks, Mapping):
            raise MaskError(f"masks must map names of parameters to tensors, got {shown(masks)}")
        self.affine = frozenset(affine)
        if not masks.keys() - self.affine:
            raise MaskError("there are no masks: at least one layer must be masked")
        if self.affine - masks.keys():
            raise MaskError(
                f"no mask of '{min(self.affine - masks.keys())}', named as a bias or BatchNorm value"
            )
        self._kept = {name: _as_bool(name, mask) for name, mask in masks.items()}
        self.info = dict(info or {})
        self._pruned_on: dict[tuple[str, torch.device], Tensor] = {}

    @classmethod
    def from_zeros(cls, model: nn.Module) -> Masks:
        """Masks of an already sparse model: what is exactly zero in a Conv2d or Linear weight is pruned."""
        return cls(
            {name: weight.tensor != 0 for name, weight in prunable_weights(model).items()},
            {"method": "from_zeros"},
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Masks:
        """Read a mask file (format: ``mask_file``). MaskError if it is anything else or has been damaged."""
        return cls(*mask_file.read(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a .safetensors mask file, one bit per weight; an older file is replaced once it is whole."""
        mask_file.write(path, self._kept, self.info, sorted(self.affine), self.density_per_layer())

    def __getitem__(self, name: str) -> Tensor:
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Masks):
            return NotImplemented
        if self.keys() != other.keys() or self.affine != other.affine:
            return False
        return all(torch.equal(self[name], other[name]) for name in self)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Masks({len(self.weights)} layers, sparsity {self.sparsity:.4f})"

    @property
    def weights(self) -> dict[str, Tensor]:
        """The masks of weights alone, without ``affine``."""
        return {name: mask for name, mask in self.items() if name not in self.affine}

    @property
    def total(self) -> int:
        """Number of weights under a mask, kept or not."""
        return sum(mask.numel() for mask in self.weights.values())

    @property
    def nnz(self) -> int:
        """Number of weights kept."""
        return sum(int(mask.sum()) for mask in self.weights.values())

    @property
    def affine_pruned(self) -> int:
        """Number of biases and BatchNorm values held at zero."""
        return sum(int((~self[name]).sum()) for name in self.affine)

    @property
    def sparsity(self) -> float:
        """Fraction of zeros over the masked weights (layers without a mask do not count)."""
        return 1.0 - self.nnz / self.total

    def density_per_layer(self) -> dict[str, float]:
        """Parameter name → fraction of its weights that is kept."""
        return {name: int(mask.sum()) / mask.numel() for name, mask in self.weights.items()}

    def intersect(self, other: Masks) -> Masks:
        """Keep what both keep; a layer that only one of them masks keeps that mask. MaskError if shapes differ."""
        if not isinstance(other, Masks):
            raise MaskError(f"masks are combined with Masks, not with {shown(other)}")
        merged = dict(self._kept)
        for name, mask in other.items():
            if name in merged and merged[name].shape != mask.shape:
                raise MaskError(
                    f"masks of '{name}' differ in shape: {tuple(merged[name].shape)} and {tuple(mask.shape)}"
                )
            merged[name] = merged[name] & mask if name in merged else mask
        return Masks(merged, self.info, self.affine | other.affine)

    __and__ = intersect

    @torch.no_grad()
    def apply(self, model: nn.Module) -> None:
        """Zero the pruned weights in place.

        Momentum and weight decay move pruned weights at every optimizer step, so call this after each one.
        Zeros are written, not multiplied, so that a NaN does not survive; weight and spectral normalisation keep
        them. Raises MaskError if a masked parameter is missing from the model, has another shape or is held by what
        need not keep a zero (see ``held_weights``); the model is then unchanged.
        """
        checked_model(model)
        weights = {name: find_held(model, name) for name in self}
        for name, held in weights.items():
            if held.parameter.shape != self[name].shape:
                raise MaskError(
                    f"mask of '{name}' has shape {tuple(self[name].shape)}, the model's weight has "
                    f"{tuple(held.parameter.shape)}"
                )
        for name, held in weights.items():
            device = held.parameter.device
            pruned = self._pruned_on.get((name, device))
            if pruned is None:
                pruned = (~self[name]).to(device)
                self._pruned_on[name, device] = pruned
            held.zero(pruned)

    def after_step(self, step: int, model: nn.Module) -> None:
        """Training hook: hold the pruned weights at zero."""
        self.apply(model)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: masks do not change while they are held, so this only tells them apart."""
        return {"masks": dict(self._kept), "affine": sorted(self.affine)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raise CheckpointError if the run was saved under other masks."""
        if Masks(state["masks"], affine=state["affine"]) != self:
            raise CheckpointError("the checkpoint is of a run with other masks")

    def finalize(self, model: nn.Module) -> None:
        """Make the masks permanent: plain dense weights with zeros, nothing of torch.nn.utils.prune left."""
        self.apply(model)
        for module in unwrap(model).modules():
            held = [key.removesuffix("_orig") for key in module._parameters if key.endswith("_orig")]
            for attribute in held:
                if f"{attribute}_mask" in module._buffers:
                    prune.remove(module, attribute)
        # prune multiplies by its own mask, which turns a negative weight into -0.0; write plain zeros.
        self.apply(model)

    def check(self, model: nn.Module) -> None:
        """Raise MaskError, naming the layer, if the model has a nonzero weight where the mask has pruned."""
        for name, mask in self.items():
            alive = int(effective_weight(model, name).cpu()[~mask].count_nonzero())
            if alive:
                raise MaskError(f"layer '{name}' has {alive} nonzero weights that its mask prunes")


def _as_bool(name: str, mask: Tensor) -> Tensor:
    if not isinstance(mask, Tensor) or mask.is_meta:
        raise MaskError(f"mask of '{name}' must be a tensor of 0 and 1, got {shown(mask)}")
    mask = mask.detach().cpu()
    if mask.numel() == 0:
        raise MaskError(f"mask of '{name}' is empty: shape {tuple(mask.shape)}")
    if mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all()):
        raise MaskError(f"mask of '{name}' holds values other than 0 and 1")
    return mask.to(torch.bool, copy=True).contiguous()
