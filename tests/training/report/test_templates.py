"""Names come from files: in a page they are text, whatever they hold."""

from __future__ import annotations

import html
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest
from markupsafe import Markup

from training.report import templates

HOSTILE = "<script>alert(1)</script> \"quoted\" 'x' & \x1b[31m \u202eevil\u2066 \x00 \x7f"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> jinja2.Template:
    text = '<p title="{{ name }}">{{ name }}</p>{{ mark }}{{ name | twice }}{% for n in names %}{{ n }}{% endfor %}'
    text += "{{ n }}"
    loader = jinja2.DictLoader({"page.html.j2": text})
    monkeypatch.setattr(templates.jinja2, "PackageLoader", lambda *_: loader)
    return templates.page_template("anywhere", {"twice": lambda text: text * 2})


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


def test_what_names_hold_is_text(page: jinja2.Template) -> None:
    shown = page.render(name=HOSTILE, mark=Markup("<b>bold</b>"), names=[HOSTILE], n=3.5)
    parser = Tags()
    parser.feed(shown)
    assert parser.tags == ["p", "b"]
    assert shown.isprintable()
    assert "\\x1b[31m \\u202eevil\\u2066" in html.unescape(shown)
    assert shown.endswith("3.5")


def test_line_breaks_and_spaces_stay(page: jinja2.Template) -> None:
    assert "a\n1\u202f000" in page.render(name="a\n1\u202f000", mark="", names=[], n=None)
