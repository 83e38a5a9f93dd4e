"""Arguments that many families have."""

from __future__ import annotations

#: Of a convolution of some output channels.
CONV = "c_out kernel_rows before width out_channel"
#: Of what goes channel by channel over a row.
LINES = "channels width x_channel out_channel"
