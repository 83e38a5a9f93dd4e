"""What docs/speed.md says of one thread, read back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparsenet.errors import InputError

#: Networks of both tables, as that of int8 calls them.
NETWORKS = ("ResNet-50", "MobileNetV1", "MiniXception-128-256", "MaskCNN")
ZEROS = "80 %"
OTHERS = ("ONNX Runtime", "OpenVINO")
_FLOAT32, _INT8 = "Every network, one thread</summary>\n\n", "## Eight bits"


@dataclass(frozen=True)
class Pair:
    """A network in one precision: ``ours``, milliseconds with zeros, and how many ``times`` as long the others take."""

    ours: float
    times: float

    @property
    def others(self) -> float:
        """Milliseconds of the faster of ``OTHERS``."""
        return self.ours * self.times


def figures(page: str) -> dict[str, tuple[Pair, Pair]]:
    """Network → float32 and int8, with ``ZEROS``: single ones in float32, in blocks of 1×4 in int8.

    Raises:
        InputError: ``page`` has no such tables.
    """
    try:
        return {name: (_float32(page, name), _int8(page, name)) for name in NETWORKS}
    except (ValueError, StopIteration) as error:
        raise InputError(
            f"no figures of one thread at {ZEROS} of zeros, as docs/speed.md has them"
        ) from error


def _float32(page: str, name: str) -> Pair:
    header, *rows = table_of(page.partition(_FLOAT32)[2])
    at, first = header.index(ZEROS), [row[0] for row in rows].index(name.lower().replace("-50", "50"))
    others = [next(row for row in rows[first:] if row[0] == other) for other in OTHERS]
    return Pair(_number(rows[first][at]), min(_number(row[at]) for row in others))


def _int8(page: str, name: str) -> Pair:
    header, *rows = table_of(page.partition(_INT8)[2].partition("\n\n|")[2])
    cell = next(row for row in rows if row[0] == name)[header.index(ZEROS)]  # blocks come first
    times, _, ours = cell.partition("(")
    return Pair(_number(ours), _number(times))


def table_of(text: str) -> list[list[str]]:
    """Cells of the table with which ``text`` begins, its header first, without emphasis."""
    lines = text.partition("\n\n")[0].replace("*", "").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if not set("".join(row)) <= set("- ")]


def _number(cell: str) -> float:
    return float(re.sub("[×≈ms) ]", "", cell))
