"""What a page says of zeros and of eight bits, as one picture: ``python -m bench.speed_table.picture``."""

from __future__ import annotations

from collections.abc import Iterator

from bench.speed_table.figures import OTHERS, ZEROS, Pair
from bench.speed_table.picture.svg import BAR, MARGIN, WIDTH, bar, page, text

TOP, PANEL, LABEL, LONGEST = 110, 204, 76, 148


def draw(found: dict[str, tuple[Pair, Pair]]) -> str:
    """SVG of milliseconds, ours and the others', a panel for each network."""
    height = TOP + PANEL * -(-len(found) // 2)
    words = f"Milliseconds for one image on one CPU thread: sparsenet with {ZEROS} zeros against {' and '.join(OTHERS)}"
    lines = [
        text(MARGIN, 34, "Milliseconds for an image, one CPU thread", "title"),
        *_key(62, "others", f"the faster of {' and '.join(OTHERS)}"),
        *_key(90, "ours", f"sparsenet, {ZEROS.replace(' ', chr(160))} of the weights zero"),
    ]
    for number, (name, of_name) in enumerate(found.items()):
        left, top = MARGIN + number % 2 * WIDTH // 2, TOP + number // 2 * PANEL
        lines += _panel(left, top, name, dict(zip(("float32", "int8"), of_name, strict=True)))
    return page(height, words, lines)


def _panel(left: int, top: int, name: str, of_name: dict[str, Pair]) -> Iterator[str]:
    yield text(left, top + 24, name, "name")
    longest = max(pair.others for pair in of_name.values())
    y = top + 38
    for precision, pair in of_name.items():
        yield text(left, y + BAR + 6, precision)
        for kind, ms, gain in (("others", pair.others, ""), ("ours", pair.ours, f"{pair.times:.1f}×")):
            width = max(2, round(LONGEST * ms / longest))
            yield bar(left + LABEL, y, width, kind)
            end, base = left + LABEL + width + 7, y + BAR - 12
            yield text(end, base, f"{ms:#.3g}")
            if gain:
                yield text(end + 50, base, gain, "gain")
            y += BAR
        y += 14


def _key(y: int, kind: str, words: str) -> tuple[str, str]:
    sample = f'<rect class="{kind}" x="{MARGIN}" y="{y - 13}" width="26" height="15" rx="3"/>'
    return sample, text(MARGIN + 36, y, words)
