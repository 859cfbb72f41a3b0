"""What a reader does, in a real browser: drop a file, read the answer, ask why."""

from __future__ import annotations

from typing import Any

import pytest

from cxrviewer.studies.phantoms import make_phantom, phantom_dicom

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DICOM = "application/dicom"
HOSTILE = "<img src=x onerror=alert(1)>[l](http://evil.example)$x^2$**b**.dcm"


def drop(page: Any, *files: tuple[str, bytes]) -> None:
    payload = [{"name": name, "mimeType": DICOM, "buffer": data} for name, data in files]
    page.locator("input[type=file]").first.set_input_files(payload)


def test_drop_a_phantom_read_the_answer_and_see_three_maps(page: Any) -> None:
    drop(page, ("phantom.dcm", phantom_dicom(make_phantom(7, size=512))))
    page.locator("[data-pane=film] img.base.loaded").wait_for()
    page.locator("[data-row=pneumonia]").wait_for()
    assert page.locator("[data-row]").count() == 15
    assert page.get_by_text("tiny-1").is_visible()
    assert page.get_by_text("no diagnosis may rest on it").first.is_visible()
    assert page.locator("[data-pane=gradcam]").count() == 0

    chooser = page.get_by_role("combobox", name="Why this answer?")
    assert chooser.bounding_box()["y"] < 800
    page.locator("[data-row=Effusion]").click()
    for method in ("gradcam", "integrated-gradients", "lime"):
        page.locator(f"[data-pane={method}] img.overlay.loaded").wait_for()
        assert page.locator(f"[data-pane={method}] .number").count() >= 2
    assert page.get_by_text("A map is not evidence of disease").is_visible()
    assert page.locator("[data-pane] .caption", has_text=" 0.").count() >= 4

    film = page.locator("[data-pane=film] .film")
    before = film.bounding_box()["width"]
    page.locator("[data-pane=lime] .stage").hover()
    page.mouse.wheel(0, -400)
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some(e => e.shadowRoot?.querySelector('.corner')?.textContent)"
    )
    zoomed = film.bounding_box()["width"]
    assert zoomed > 1.5 * before
    page.get_by_text("Invert", exact=True).click()
    page.get_by_text("inverted").wait_for()
    assert film.bounding_box()["width"] == pytest.approx(zoomed), "a redraw has lost the zoom"
    assert page.outside == []


def test_a_reload_comes_back_to_the_same_study(page: Any) -> None:
    drop(page, ("phantom.dcm", phantom_dicom(make_phantom(3, size=256))))
    page.locator("[data-pane=film] img.base.loaded").wait_for()
    page.wait_for_function("() => location.search.includes('study=')")
    page.reload()
    page.locator("[data-pane=film] img.base.loaded").wait_for()


def test_the_first_visit_to_a_server_may_go_straight_to_a_page(tab: Any, app_url: str) -> None:
    tab.goto(f"{app_url}/models")
    tab.get_by_text("tiny-1").first.wait_for()
    assert tab.url == f"{app_url}/models"
    assert not tab.get_by_text("Page not found").count()


def test_a_broken_file_beside_a_good_one_and_hostile_names_stay_text(page: Any) -> None:
    good = phantom_dicom(make_phantom(7, size=256))
    drop(page, (HOSTILE, good), ("bad-" + HOSTILE, good[: len(good) // 2]))
    page.get_by_text("1 of 2 was not taken in or not scored").wait_for()
    rows = page.locator("[data-row]")
    page.get_by_text(HOSTILE, exact=True).wait_for()
    assert page.get_by_text("bad-" + HOSTILE, exact=True).is_visible()
    assert rows.locator("a, b, strong, .katex, img[onerror]").count() == 0
    assert page.alerts == []
    assert page.outside == []

    page.locator(".row.opens").first.click()
    page.locator("[data-row=pneumonia]").wait_for()
    page.get_by_role("button", name="Tags").click()
    page.get_by_role("dialog").locator("canvas").first.wait_for()
    assert page.alerts == []


def test_demonstration_studies_fill_an_empty_archive(page: Any) -> None:
    page.get_by_role("button", name="Load demonstration studies: computer-made phantoms").click()
    page.locator(".row.opens").nth(2).wait_for()
    page.locator(".row.opens .bar").nth(2).wait_for()
    assert page.get_by_text("tiny-1").is_visible()
    assert page.outside == []
