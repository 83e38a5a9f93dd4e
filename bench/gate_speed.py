"""The short gate: kernel families against what does not change with them, group by group; about a minute.

pytest bench/gate_speed.py
"""

from __future__ import annotations

import pytest

from bench.gate.groups import GROUPS, Group
from bench.gate.plugin import Speed


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_speed(speed: Speed, group: Group) -> None:
    """Does the group hold its speed-up?"""
    speed.hold(group)
