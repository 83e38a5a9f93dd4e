"""What pictures of documents have in common: a page that follows the reader's theme, words, bars."""

from __future__ import annotations

from collections.abc import Iterable

#: In units of which 640 are the width, so that on a phone the text still has ten pixels.
WIDTH, MARGIN, BAR = 640, 22, 32
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


def page(height: int, words: str, lines: Iterable[str]) -> str:
    """A picture of ``lines``; ``words`` tell it to whoever cannot see it."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{words}">',
            f"<style>{THEME}</style>",
            f'<rect class="page" x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="10"/>',
            *lines,
            "</svg>\n",
        ]
    )


def text(x: int, y: int, words: str, kind: str = "") -> str:
    """Words whose base line begins at (x, y)."""
    return f'<text x="{x}" y="{y}"' + (f' class="{kind}"' if kind else "") + f">{words}</text>"


def bar(x: int, y: int, width: int, kind: str) -> str:
    """A bar, ``BAR`` high with the gap below it."""
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{BAR - 6}" rx="3"/>'
