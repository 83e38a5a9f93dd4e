"""The container of model files, weights and masks, checked before its tensors are looked at."""

from __future__ import annotations

import struct
from typing import Any

import safetensors

from sparsenet.io import strict_json


def unpack(data: bytes) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, str]]:
    """Unpack a file: name, dtype, shape and data of every tensor, and the metadata.

    Raises:
        ValueError: it is cut short or no safetensors file, or a name appears twice.
    """
    try:
        entries = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        reason = " ".join(str(error).split()).removeprefix("Error while deserializing: ")
        raise ValueError(f"{reason:.200}") from None
    # The library has checked the header by now, but takes names given twice, and hands out no metadata of bytes.
    (length,) = struct.unpack_from("<Q", data)
    try:
        header = strict_json.parse(data[8 : 8 + length])
    except ValueError as error:
        raise ValueError(f"unreadable header: {error}") from None
    return entries, header.get("__metadata__") or {}
