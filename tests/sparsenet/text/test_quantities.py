from __future__ import annotations

import pytest

from sparsenet.text.quantities import time_text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.0, "0 s"),
        (3.21e-8, "32.1 ns"),
        (1e-6, "1 µs"),
        (0.00664312, "6.643 ms"),
        (0.9996, "999.6 ms"),
        (2.35, "2.35 s"),
        (59.99, "59.99 s"),
        (60.2, "1 min"),
        (725.4, "12 min 5 s"),
        (75600, "1,260 min"),
    ],
)
def test_a_duration_has_the_unit_that_fits(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
