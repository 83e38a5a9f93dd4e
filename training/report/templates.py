"""The one way in which pages are made of templates: whatever a value holds, it is text there and nothing else."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup

from sparsenet.text.one_line import escaped


def page_template(package: str, filters: Mapping[str, Any]) -> jinja2.Template:
    """``page.html.j2`` of a package. HTML's characters are escaped, and so is what no page should show.

    Line breaks and spaces apart, that is every character that is not printable: control characters, and marks that
    turn the direction of what follows them.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters.update(filters)
    return environment.get_template("page.html.j2")


def _printable(value: Any) -> Any:
    if value is None or isinstance(value, Markup | bool | int | float | jinja2.Undefined):
        return value
    return "".join(c if c == "\n" or unicodedata.category(c) == "Zs" else escaped(c) for c in str(value))
