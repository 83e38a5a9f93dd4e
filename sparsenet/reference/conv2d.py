"""2-D convolution as a sum of matrix products, one per kernel tap."""

from __future__ import annotations

import numpy as np

from sparsenet.reference.operation import Array, Attrs, Operation
from sparsenet.reference.pad import pad_image


def conv2d(inputs: list[Array | None], attrs: Attrs) -> Array:
    """Cross-correlation as in PyTorch's ``conv2d``, with padding per side.

    Args:
        inputs: x (N, C_in, H, W), weight (C_out, C_in/groups, K_h, K_w), bias (C_out,) or None.
        attrs: stride [2], padding [top, left, bottom, right], dilation [2], groups.

    Returns:
        (N, C_out, H_out, W_out).
    """
    x, weight, bias = inputs
    assert x is not None
    assert weight is not None
    (s_h, s_w), (d_h, d_w), groups = attrs["stride"], attrs["dilation"], attrs["groups"]
    c_out, c_in, k_h, k_w = weight.shape
    padded = pad_image(x, attrs["padding"], 0.0)
    n = padded.shape[0]
    h_out = (padded.shape[2] - d_h * (k_h - 1) - 1) // s_h + 1
    w_out = (padded.shape[3] - d_w * (k_w - 1) - 1) // s_w + 1

    out = np.zeros((n, groups, c_out // groups, h_out * w_out))
    for i in range(k_h):
        for j in range(k_w):
            rows = slice(i * d_h, i * d_h + s_h * (h_out - 1) + 1, s_h)
            columns = slice(j * d_w, j * d_w + s_w * (w_out - 1) + 1, s_w)
            seen = padded[:, :, rows, columns].reshape(n, groups, c_in, h_out * w_out)
            out += weight[:, :, i, j].reshape(groups, c_out // groups, c_in) @ seen
    result = out.reshape(n, c_out, h_out, w_out)
    return result if bias is None else result + bias[:, None, None]


OPERATIONS: dict[str, Operation] = {"conv2d": conv2d}
