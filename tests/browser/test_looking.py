"""What a reader does with the picture itself: turn it, point at it, go on while maps are in the making."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cxrviewer.studies.opening import open_study
from cxrviewer.studies.phantoms import make_phantom, phantom_dicom

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MAPS = ("gradcam", "integrated-gradients", "lime")
DATA = phantom_dicom(make_phantom(7, size=512))


def open_it(page: Any) -> None:
    files = [{"name": "phantom.dcm", "mimeType": "application/dicom", "buffer": DATA}]
    page.locator("input[type=file]").first.set_input_files(files)
    page.locator("[data-pane=film] img.base.loaded").wait_for()
    page.locator("[data-row=pneumonia]").wait_for()


def matrix(page: Any, pane: str) -> list[int]:
    """How a pane's picture is turned: a, b, c, d of its transform."""
    style = page.locator(f"[data-pane={pane}] .film").evaluate("e => getComputedStyle(e).transform")
    return [round(float(part)) for part in style.removeprefix("matrix(").split(",")[:4]]


def point(page: Any, across: float, down: float) -> tuple[int, int, int]:
    """Column, row and grey value that the film tells at a place of its picture, in shares of what is shown."""
    box = page.locator("[data-pane=film] .film").bounding_box()
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
    probe = page.locator("[data-pane=film] .probe")
    probe.get_by_text("grey").wait_for()
    told = probe.inner_text().replace("·", " ").split()
    return int(told[1]), int(told[3]), int(told[5])


def test_rotate_and_flip_turn_every_picture_alike_and_say_so(page: Any) -> None:
    open_it(page)
    page.locator("[data-row=Effusion]").click()
    for pane in MAPS:
        page.locator(f"[data-pane={pane}] img.overlay.loaded").wait_for()
    assert page.locator("[data-pane=film] .turned").is_hidden()
    page.get_by_role("button", name="Rotate").click()
    assert all(matrix(page, pane) == [0, 1, -1, 0] for pane in ("film", *MAPS))
    page.get_by_role("button", name="Flip").click()
    assert all(matrix(page, pane) == [0, 1, 1, 0] for pane in ("film", *MAPS))
    for pane in ("film", *MAPS):
        assert (
            page.locator(f"[data-pane={pane}] .turned").inner_text() == "rotated 90°, flipped left to right"
        )
    page.get_by_text("Invert", exact=True).click()
    page.get_by_text("inverted").wait_for()
    assert matrix(page, "film") == [0, 1, 1, 0], "a redraw has turned the picture back"
    page.get_by_role("button", name="Flip").click()
    page.locator("[data-pane=film] .stage").focus()
    for _ in range(3):
        page.keyboard.press("r")
    assert matrix(page, "lime") == [1, 0, 0, 1]
    assert page.locator("[data-pane=film] .turned").is_hidden()


def test_the_cursor_tells_the_value_of_the_file_however_the_picture_is_turned(page: Any) -> None:
    pixels = open_study(DATA).pixels
    open_it(page)
    column, row, grey = point(page, 0.3, 0.6)
    assert (column, row) == pytest.approx((0.3 * 512, 0.6 * 512), abs=3)
    assert grey == round(float(pixels[row, column]))
    page.locator("[data-pane=film] .probe", has_text="mm at detector").wait_for()
    page.get_by_role("button", name="Rotate").click()
    # Clockwise: what stood at (x, y) stands at (1 - y, x).
    column, row, grey = point(page, 0.4, 0.3)
    assert (column, row) == pytest.approx((0.3 * 512, 0.6 * 512), abs=3)
    assert grey == round(float(pixels[row, column]))
    page.get_by_role("button", name="Flip").click()
    column, row, grey = point(page, 0.6, 0.3)
    assert (column, row) == pytest.approx((0.3 * 512, 0.6 * 512), abs=3)
    assert grey == round(float(pixels[row, column]))
    assert np.ptp(pixels) > 0


def test_picture_maps_and_numbers_stand_on_one_screen_and_nothing_waits(page: Any) -> None:
    open_it(page)
    tall = page.locator("[data-pane=film] .stage").bounding_box()["height"]
    page.locator("[data-row=Effusion]").click()
    page.locator("[data-pane=lime] .stage").wait_for()
    page.locator("[data-row=Mass]").click()
    page.get_by_text("Invert", exact=True).click()
    page.get_by_text("inverted").wait_for()
    for pane in MAPS:
        page.locator(f"[data-pane={pane}] img.overlay.loaded").wait_for()
        box = page.locator(f"[data-pane={pane}] .numbers").bounding_box()
        assert box["y"] + box["height"] <= 800
    assert page.locator("[data-pane=lime] img.base").get_attribute("alt") == "LIME of Mass"
    assert page.locator("[data-pane=film] .stage").bounding_box()["height"] < tall
    page.get_by_role("button", name="Measure spread over seeds").click()
    page.locator("[data-pane=lime] .caption", has_text="over 5 seeds").wait_for()
    assert page.outside == []
