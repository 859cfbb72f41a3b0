"""A student in a real browser: name a folder, start a run, watch it, come back, take it into service, undo that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RUN = "from-the-browser"
WAIT = 480_000
"""Milliseconds for a whole run, tiny as it is: the machine may be busy."""


def write_pictures(root: Path, persons: int = 60) -> Path:
    """Made-up pictures in the layout of Kermany et al.: a bright patch means pneumonia."""
    rng = np.random.default_rng(3)
    for person in range(persons):
        ill = person % 2 == 0
        for shot in range(2):
            pixels = rng.normal(90, 12, (48, 48))
            if ill:
                row, column = rng.integers(8, 28, 2)
                pixels[row : row + 12, column : column + 12] += 90
            name = f"person{person}_bacteria_{shot}" if ill else f"IM-{person:04d}-{shot:04d}"
            path = root / "train" / ("PNEUMONIA" if ill else "NORMAL") / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    return root


def fill(page: Any, label: str, text: str) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(text)
    field.press("Enter")


def choose(page: Any, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()


def settled(page: Any) -> None:
    page.wait_for_timeout(400)
    page.wait_for_function("() => !document.querySelector('[data-testid=stStatusWidget]')")
    page.wait_for_timeout(400)


def test_a_run_is_started_watched_left_alone_found_finished_and_compared(
    page: Any, app_url: str, tmp_path: Path
) -> None:
    root = write_pictures(tmp_path / "pictures")
    page.get_by_role("link", name="Data sets").click()
    page.get_by_text("Add a data set").wait_for()
    fill(page, "Folder on this machine", str(root))
    page.get_by_text("Directly inside: 1 folder,").wait_for()
    page.get_by_role("button", name="Read the folder").click()
    page.get_by_text("120 pictures", exact=True).wait_for()

    page.get_by_role("link", name="Train", exact=True).click()
    page.get_by_text("Class balance").wait_for()
    settled(page)
    choose(page, "Network", "The tiny network")
    settled(page)
    fill(page, "Epochs", "3")
    settled(page)
    fill(page, "Picture, px", "64")
    settled(page)
    fill(page, "Batch", "8")
    settled(page)
    fill(page, "Learning rate", "0.01")
    settled(page)
    page.get_by_text("More", exact=True).nth(2).click()
    fill(page, "Epochs of the scope network", "0")
    settled(page)
    page.get_by_placeholder("Name of the run").fill(RUN)
    page.get_by_placeholder("Name of the run").press("Enter")
    settled(page)
    page.get_by_role("button", name="Start the run").click()
    page.locator(f"[data-row='{RUN}']").wait_for()
    page.locator(".js-plotly-plot").first.wait_for(timeout=WAIT)
    page.goto("about:blank")  # the browser goes away; the run does not notice

    page.wait_for_timeout(3000)
    page.goto(f"{app_url}/runs")
    page.locator(f"[data-row='{RUN}']", has_text="finished").wait_for(timeout=WAIT)
    page.get_by_role("button", name="Take it into service").click()
    page.get_by_text(f"{RUN} beside tiny-1").wait_for()
    page.get_by_role("button", name="Let it serve").click()
    page.get_by_text("This run's model answers the studies that are opened now.").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Take it into service").wait_for()
    assert page.outside == []
    assert page.alerts == []
