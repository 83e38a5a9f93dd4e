"""The last cell: every result becomes CSV files, PNG files and one page that holds them all."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path

from markupsafe import Markup

from sparsenet.io.files import write_atomically
from training.demo.environment import environment
from training.report.files import write_text
from training.report.templates import page_template
from training.reproduce.figures import Picture
from training.reproduce.sections import comparison, int8, maskcnn, snip, students, tradeoff
from training.reproduce.sections.section import Section
from training.reproduce.settings import Settings

BUILDERS = {
    "maskcnn": maskcnn.build,
    "students": students.build,
    "snip": snip.build,
    "comparison": comparison.build,
    "int8": int8.build,
    "tradeoff": tradeoff.build,
}


def write(settings: Settings, out: Path) -> None:
    """Cell: write ``tables/*.csv``, ``figures/*.png`` and ``out``, the page, beside the results they come from."""
    folder = out.parent
    sections = [BUILDERS[name](settings, folder / "results") for name in settings.sections]
    for section in sections:
        for table in section.tables:
            write_text(folder / "tables" / f"{table.key}.csv", table.to_csv())
        (folder / "figures").mkdir(exist_ok=True)
        for picture in section.pictures:
            write_atomically(folder / "figures" / f"{picture.key}.png", picture.png)
            if picture.csv is not None:
                write_text(folder / "figures" / f"{picture.key}.csv", picture.csv)
    write_text(out, render(settings, sections))


def render(settings: Settings, sections: list[Section]) -> str:
    """The page as HTML text, pictures inside, nothing fetched from anywhere; values from outside are escaped."""
    return page_template("training.reproduce", {"image": _image}).render(
        settings=settings,
        sections=sections,
        environment=environment(),
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _image(picture: Picture) -> Markup:
    data = base64.b64encode(picture.png).decode()
    return Markup('<img class="figure" alt="{}" src="data:image/png;base64,{}">').format(
        picture.caption, data
    )
