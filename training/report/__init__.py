"""The demo's report: measured numbers in, ``report.json`` and a self-contained ``report.html`` out.

``model`` holds the numbers, ``findings`` says in words what they show, ``figures`` draws them, ``page`` and
``console`` set them; ``paper`` holds the published figures.
"""

from __future__ import annotations

from training.report.model import Report, load_report, save_report
from training.report.page import render_page, save_page

__all__ = ["Report", "load_report", "render_page", "save_page", "save_report"]
