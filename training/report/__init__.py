"""The demo's report: measured numbers in, ``report.json`` and a self-contained ``report.html`` out.

``model`` holds the numbers, ``findings`` says in words what they show, ``figures`` draws them, ``page`` and
``console`` set them; ``paper`` holds the published figures.
"""
