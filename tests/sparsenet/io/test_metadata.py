from __future__ import annotations

import numpy as np
import pytest

from sparsenet.errors import ModelFileError
from sparsenet.io.metadata import class_names, normalisation


def test_a_model_that_says_nothing_has_no_names_and_is_centred() -> None:
    assert class_names({}) is None
    mean, std = normalisation({})
    np.testing.assert_array_equal([mean, std], np.full((2, 3), 0.5))


def test_names_and_numbers_are_read() -> None:
    assert class_names({"class_names": '["a", "b"]'}) == ["a", "b"]
    mean, std = normalisation({"mean": "[0, 0.5, 1]", "std": "[1, 2, 3]"})
    np.testing.assert_array_equal(mean, np.array([0, 0.5, 1], np.float32))
    np.testing.assert_array_equal(std, np.array([1, 2, 3], np.float32))


@pytest.mark.parametrize("text", ["", "[", "[1]", '"a"', "{}", '["a", null]', "[" * 100_000])
def test_names_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ModelFileError, match="'class_names' is not"):
        class_names({"class_names": text})


@pytest.mark.parametrize("key", ["mean", "std"])
@pytest.mark.parametrize("text", ["[", "[1, 2]", "1", '["1", "2", "3"]', "[1, 2, NaN]", "[true, true, true]"])
def test_normalisations_that_are_none_are_refused(key: str, text: str) -> None:
    with pytest.raises(ModelFileError, match=f"'{key}' is not"):
        normalisation({key: text})


def test_a_deviation_of_zero_is_refused() -> None:
    with pytest.raises(ModelFileError, match="'std' must be positive"):
        normalisation({"std": "[1, 0, 1]"})
