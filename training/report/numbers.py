"""Numbers as the report writes them, on the page, in its sentences and on the terminal."""

from __future__ import annotations

from sparsenet.text.quantities import at_least
from training.report.model import Speedup

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

TOO_NOISY = "too noisy to tell"


def percent(share: float | None, digits: int = 1) -> str:
    """0.9731 → '97.3'; a dash where there is no value."""
    return "–" if share is None else f"{share * 100:.{digits}f}"


def number(value: float | None) -> str:
    """1234567 → '1,234,567', as every command writes it."""
    return "–" if value is None else f"{value:,.0f}"


def ratio(speedup: Speedup | None) -> str:
    """'2.31× (2.28–2.36)', median and interval; 'at least 1.8×', or nothing, where the machine was noisy."""
    if speedup is None:
        return "–"
    return times(speedup) if speedup.noisy else f"{times(speedup)} {interval(speedup)}"


def times(speedup: Speedup, unit: str = "×") -> str:
    """'2.31×', 'at least 1.8×' or that the machine was too noisy to tell."""
    if not speedup.noisy:
        return f"{speedup.median:.2f}{unit}"
    least = speedup.at_least
    return TOO_NOISY if least is None else f"{at_least(least)}{unit}"


def interval(speedup: Speedup) -> str:
    """'(2.28–2.36)'."""
    return f"({speedup.low:.2f}–{speedup.high:.2f})"


def scientific(value: float) -> str:
    """5.3e-07 → '5.3·10⁻⁷'."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def points(share: float) -> str:
    """A difference of shares in percentage points: 0.0123 → '1.2 points'."""
    text = percent(abs(share))
    return f"{text} point{'' if text == '1.0' else 's'}"
