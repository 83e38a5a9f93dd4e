"""Names in C."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparsenet.errors import InputError
from sparsenet.text.c_names import network_name, parameter_names


def test_parameters_are_told_apart() -> None:
    assert parameter_names("input", ["große/тензор"]) == ["input"]
    names = ["Image:0", "image_0", "image.0", "3d", "große/тензор", "", "/"]
    assert parameter_names("x", names) == [
        *("x_image_0", "x_image_0_2", "x_image_0_3", "x_3d", "x_gro_e", "x", "x_2")
    ]  # fmt: skip


def test_a_network_is_named_after_its_folder_unless_it_has_a_name() -> None:
    assert network_name(None, Path("out/Face 1")) == "face_1"
    assert network_name(None, Path("a" * 30 + "/" + "b" * 60)) == "b" * 31
    assert network_name("face", Path("out/math")) == "face"
    for name, folder in [
        ("Face", "x"),
        ("a-b", "x"),
        ("2nd", "x"),
        ("f_", "x"),
        ("", "x"),
        ("a" * 32, "x"),
        (None, "math"),
        ("features", "x"),
    ]:
        with pytest.raises(InputError, match="cannot begin names in C"):
            network_name(name, Path(folder))
