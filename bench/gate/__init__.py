"""Speed held by tests: two callables timed in turn, the ratio with its uncertainty, and three answers.

``holds``, ``fails`` or ``too noisy to tell``. See ``plugin`` for how tests use it.
"""
