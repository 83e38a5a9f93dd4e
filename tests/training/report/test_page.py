"""The page: complete, self-contained, and as honest as its numbers."""

from __future__ import annotations

import html.parser
import re
from dataclasses import replace
from pathlib import Path

import pytest

from training.report.model import Report, load_report, save_report
from training.report.names import RATIOS, ratio_name
from training.report.page import render_page, save_page
from training.report.paper import STAGES


class Links(html.parser.HTMLParser):
    """Collects whatever a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.images = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.images += tag == "img"
        self.found += [value for name, value in attributes if name in ("src", "href", "srcset") and value]


def links(page: str) -> Links:
    parser = Links()
    parser.feed(page)
    return parser


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render_page(report)


def test_nothing_is_fetched(report: Report, page: str) -> None:
    found = links(page)
    assert found.images == len(report.examples) + len(report.mistakes) + 9
    assert all(link.startswith("data:image/") for link in found.found)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "<script" not in page


def test_a_page_written_from_the_saved_numbers_is_the_same(report: Report, page: str, tmp_path: Path) -> None:
    save_report(report, tmp_path / "report.json")
    save_page(load_report(tmp_path / "report.json"), tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_text(encoding="utf-8") == page
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["report.html"]


def test_rows_show_the_file_the_engine_loads_and_the_paper_beside_it(page: str) -> None:
    row = re.search(r'<tr class="final"><td>Distilled \+ pruned</td>.*?</tr>', page, re.DOTALL)
    assert row is not None
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row.group(), re.DOTALL)
    assert cells[1:7] == ["80.0", "91.0", "89.0", "90.0", "70,000", "1,189×"]
    assert cells[7:] == ["90", "76", "92", "1,004×"]
    row = re.search(r'<tr class="final"><td>Distilled \+ pruned, int8</td>.*?</tr>', page, re.DOTALL)
    assert row is not None
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row.group(), re.DOTALL)
    assert cells[1:7] == ["80.0", "90.0", "88.0", "89.0", "60,000", "1,388×"]


def test_every_engine_has_a_column(page: str) -> None:
    head = re.search(r"<th>input</th>.*?</tr>", page, re.DOTALL)
    assert head is not None
    names = re.findall(r"<th>(.*?)</th>", head.group())[2:]
    assert names[:5] == ["PyTorch, ms", "dense, ms", "sparse, ms", "int8 dense, ms", "int8 sparse, ms"]
    assert names[5:] == [ratio_name(*pair) for pair in RATIOS]
    assert page.count("<small class") == len(RATIOS)


def test_wrong_predictions_are_marked(page: str) -> None:
    assert page.count('class="example wrong"') == 2
    assert "✗ uncovered nose" in page
    assert "true: uncovered chin" in page


def test_what_there_is_not_is_left_out_and_what_comes_from_outside_is_escaped(
    report: Report, page: str
) -> None:
    bare = replace(
        report,
        student="mobilenetv1",
        mistakes=[],
        stages=[replace(stage, epochs=[]) for stage in report.stages],
        command="sparsenet demo --out '<script>alert(1)</script>'",
    )
    other = render_page(bare)
    assert "paper, tables 3–5" in page
    assert "paper, tables 3–5" not in other
    assert "makes with most confidence" in page
    assert "makes with most confidence" not in other
    assert "Loss (top)" in page
    assert "Loss (top)" not in other
    assert "<script" not in other


@pytest.mark.parametrize("student", list(STAGES))
def test_the_paper_has_a_row_for_every_stage(report: Report, student: str) -> None:
    assert list(STAGES[student]) == [stage.key for stage in report.stages]
