"""Model files taken apart and put together with a right checksum, so that a change reaches what lies behind it."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from typing import Any

SIZES = {"F32": 4, "F16": 2, "I8": 1, "U8": 1, "U16": 2, "U32": 4, "F64": 8, "BF16": 2, "I64": 8, "BOOL": 1}


@dataclass
class Parts:
    """The metadata but for the graph, the graph's JSON document, and tensors as [dtype, bytes]."""

    metadata: dict[str, Any]
    graph: Any
    tensors: dict[str, list[Any]]

    @classmethod
    def of(cls, data: bytes) -> Parts:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        body = data[8 + length :]
        metadata = header.pop("__metadata__")
        tensors = {name: [t["dtype"], body[slice(*t["data_offsets"])]] for name, t in header.items()}
        return cls(metadata, json.loads(metadata["graph"]), tensors)

    def header(self, seal: bool = True) -> dict[str, Any]:
        """The header as JSON values; the checksum is made right if ``seal``."""
        text = json.dumps(self.graph)
        metadata = {**self.metadata, "graph": text}
        if seal:
            content = b"".join(self.tensors[name][1] for name in sorted(self.tensors))
            metadata["sha256"] = hashlib.sha256(text.encode() + content).hexdigest()
        header: dict[str, Any] = {"__metadata__": metadata}
        offset = 0
        for name, (dtype, raw) in self.tensors.items():
            header[name] = {
                "dtype": dtype,
                "shape": [len(raw) // SIZES[dtype]],
                "data_offsets": [offset, offset + len(raw)],
            }
            offset += len(raw)
        return header

    def join(self, header: dict[str, Any]) -> bytes:
        """The file with this header."""
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + b"".join(raw for _, raw in self.tensors.values())
