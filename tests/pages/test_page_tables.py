"""Which columns of a page's tables stand at the right, and how differences read."""

from __future__ import annotations

import pytest

from cxrviewer.ui.candidates import _sign
from cxrviewer.ui.charts import _room
from cxrviewer.ui.run_controls import device_words
from cxrviewer.ui.tables import is_numbers


@pytest.mark.parametrize(
    ("cells", "right"),
    [
        ([1, 20], True),
        (["0.12", "–", "1,204"], True),
        (["<0.01", ">0.99", "12 %", ""], True),
        (["−0.02", "+0.10"], True),
        (["–", "–"], False),
        (["0.91 (0.88 to 0.93)"], False),
        (["1234abcd"], False),
        ([], False),
    ],
)
def test_columns_of_plain_numbers_stand_at_the_right(cells: list[object], right: bool) -> None:
    assert is_numbers(cells) is right


@pytest.mark.parametrize(
    ("value", "shown"), [(0.061, "+0.06"), (-0.02, "−0.02"), (-0.001, "0.00"), (0.0, "0.00")]
)
def test_nothing_has_no_sign(value: float, shown: str) -> None:
    assert _sign(value) == shown


@pytest.mark.parametrize(
    ("device", "words"), [("cpu", "on the CPU"), ("cuda:1", "on GPU 1"), ("cuda", "on GPU 0"), ("", "")]
)
def test_devices_in_words(device: str, words: str) -> None:
    assert device_words(device) == words


def test_one_epoch_is_drawn_around_its_value() -> None:
    assert _room([("loss", [1.0], [2.0])]) == {"range": [1.8, 2.2]}
    assert _room([("loss", [1.0, 2.0], [2.0, 1.0])]) == {}
    assert _room([("loss", [], [])]) == {}
