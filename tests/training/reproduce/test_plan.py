"""Which cells there are: each once, in an order that leads from one to the next."""

from __future__ import annotations

from tests.training.reproduce.tiny import TINY, tiny
from training.reproduce.plan import Plan, before, stages_before


def test_every_result_has_a_name_of_its_own() -> None:
    results = Plan(TINY).results
    assert len(results) == len(set(results))
    for section in ("maskcnn", "students", "snip", "comparison", "int8", "tradeoff", "latency"):
        assert any(f"/{section}/" in name for name in results)
    assert all("/snip/" in name or "latency/snip" in name for name in Plan(tiny("snip")).results)


def test_at_ratio_0_all_methods_are_one_network() -> None:
    names = Plan(TINY).maskcnn_names()
    assert names[0] == "unstructured-0.0-0"
    assert sorted(names) == sorted(
        ["unstructured-0.0-0", "unstructured-0.5-0", "input-channels-0.5-0", "output-channels-0.5-0"]
    )


def test_a_ticket_is_drawn_from_the_level_before() -> None:
    asked = TINY.comparison
    assert before(asked, "f", "dense-0.0", "lottery-1x4", "0.8", "1") == {
        "trained": "f/weights/lottery-1x4-0.5-1.safetensors",
        "within": "f/masks/lottery-1x4-0.5-1.safetensors",
    }
    whole = {"trained": "f/weights/dense-0.0-1.safetensors"}
    assert before(asked, "f", "dense-0.0", "lottery", "0.5", "1") == whole
    assert before(asked, "f", "dense-0.0", "gradual", "0.8", "1") == whole
    assert before(asked, "f", "dense-0.0", "snip", "0.8", "1") == {}


def test_pruned_students_continue_whole_ones() -> None:
    assert stages_before("s", "distilled-pruned") == ["results/students/s-distilled.json"]
    assert stages_before("s", "scratch") == []


def test_every_family_is_timed_beside_the_unpruned_network() -> None:
    families = Plan(TINY).families
    assert families["comparison"].baseline == "comparison/models/dense-0.0-0.safetensors"
    assert families["tradeoff-0"].baseline == "tradeoff/models/dense-1.0-0-f32.safetensors"
    assert families["maskcnn"].baseline == "maskcnn/models/unstructured-0.0-0.safetensors"
    for family in families.values():
        assert family.baseline == family.files[0]
        assert len(family.files) == len(set(family.files)) > 1
