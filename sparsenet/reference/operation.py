"""The one signature of all reference operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

#: The type of every value between two reference operations.
Array = npt.NDArray[np.float64]
#: Attributes of a node with the schema's defaults filled in.
Attrs = Mapping[str, Any]
#: ``(own inputs, absent optional ones None; attributes) -> result``.
Operation = Callable[[list[Any], Attrs], Array]
