"""What a page says of zeros and of eight bits, as one picture: ``python -m bench.speed_table.picture``."""

from __future__ import annotations

from collections.abc import Iterator

from bench.speed_table.figures import OTHERS, ZEROS, Pair

#: In units of which 640 are the width, so that on a phone the text still has ten pixels.
WIDTH, MARGIN, TOP, PANEL, BAR, LABEL, LONGEST = 640, 22, 110, 204, 32, 76, 148
#: Colours follow the reader's theme.
THEME = """
text { font: 18px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2933 }
.title { font-size: 21px; font-weight: 600 } .name, .gain { font-weight: 600 }
.page { fill: #ffffff; stroke: #d5dbe1 } .others { fill: #a3aeb9 } .ours { fill: #0b8f6a } .gain { fill: #0a7a5b }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .gain { fill: #4fd6ab }
  .page { fill: #0d1117; stroke: #30363d } .others { fill: #6b7785 } .ours { fill: #2fbf92 }
}
"""


def draw(found: dict[str, tuple[Pair, Pair]]) -> str:
    """SVG of milliseconds, ours and the others', a panel for each network."""
    height = TOP + PANEL * -(-len(found) // 2)
    words = f"Milliseconds for one image on one CPU thread: sparsenet with {ZEROS} zeros against {' and '.join(OTHERS)}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{words}">',
        f"<style>{THEME}</style>",
        f'<rect class="page" x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="10"/>',
        _text(MARGIN, 34, "Milliseconds for an image, one CPU thread", "title"),
        *_key(62, "others", f"the faster of {' and '.join(OTHERS)}"),
        *_key(90, "ours", f"sparsenet, {ZEROS.replace(' ', chr(160))} of the weights zero"),
    ]
    for number, (name, of_name) in enumerate(found.items()):
        left, top = MARGIN + number % 2 * WIDTH // 2, TOP + number // 2 * PANEL
        lines += _panel(left, top, name, dict(zip(("float32", "int8"), of_name, strict=True)))
    return "\n".join([*lines, "</svg>\n"])


def _panel(left: int, top: int, name: str, of_name: dict[str, Pair]) -> Iterator[str]:
    yield _text(left, top + 24, name, "name")
    longest = max(pair.others for pair in of_name.values())
    y = top + 38
    for precision, pair in of_name.items():
        yield _text(left, y + BAR + 6, precision)
        for kind, ms, gain in (("others", pair.others, ""), ("ours", pair.ours, f"{pair.times:.1f}×")):
            width = max(2, round(LONGEST * ms / longest))
            yield f'<rect class="{kind}" x="{left + LABEL}" y="{y}" width="{width}" height="{BAR - 6}" rx="3"/>'
            end, base = left + LABEL + width + 7, y + BAR - 12
            yield _text(end, base, f"{ms:#.3g}")
            if gain:
                yield _text(end + 50, base, gain, "gain")
            y += BAR
        y += 14


def _key(y: int, kind: str, words: str) -> tuple[str, str]:
    sample = f'<rect class="{kind}" x="{MARGIN}" y="{y - 13}" width="26" height="15" rx="3"/>'
    return sample, _text(MARGIN + 36, y, words)


def _text(x: int, y: int, words: str, kind: str = "") -> str:
    return f'<text x="{x}" y="{y}"' + (f' class="{kind}"' if kind else "") + f">{words}</text>"
