"""The coverage page in a headless Chromium, used as a person does: reading, clicking, typing, walking by keyboard."""

from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, expect

from faultinj.catalogue import points
from faultinj.record import SweepResult
from faultinj.report.page import coverage_page
from faultinj.report.verdict import Verdict
from faultruns import clean_run, rich_run

pytestmark = pytest.mark.xdist_group("browser")
DARK, LIGHT = "rgb(26, 26, 25)", "rgb(252, 252, 251)"


def show(page: Page, folder: Path, run: SweepResult) -> None:
    """Open the page of a run."""
    file = folder / "coverage.html"
    file.write_text(coverage_page(Verdict(run)), encoding="utf-8")
    page.goto(file.as_uri())


def test_every_point_has_a_row_and_every_finding_a_card(page: Page, tmp_path: Path) -> None:
    run = rich_run()
    show(page, tmp_path, run)
    expect(page.locator("#points tbody tr")).to_have_count(len(run.points))
    expect(page.locator("#found article")).to_have_count(2)
    expect(page.locator("#found article").first).to_contain_text("3 items are out that nobody holds </script><b>")
    expect(page.locator("#found ol.stack li").first).to_have_text("shmalloc/zone.py:120 alloc")
    expect(page.locator("header")).to_contain_text("nothing was ever injected in stats")


@pytest.mark.parametrize("width", [360, 800, 1200, 1400, 1920])
def test_the_state_of_a_point_is_seen_at_any_width_whatever_its_name(page: Page, tmp_path: Path, width: int) -> None:
    run = rich_run()
    long = tuple(msgspec.structs.replace(row, point=f"{row.point}.{'y' * 55}") for row in run.points[:3])
    page.set_viewport_size({"width": width, "height": 800})
    show(page, tmp_path, msgspec.structs.replace(run, points=(*run.points, *long)))
    hidden = page.locator("#points").evaluate("e => e.parentElement.scrollWidth - e.parentElement.clientWidth")
    assert hidden <= 0
    ends = page.locator("#points td.state").evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
    assert len(ends) == len(run.points) + 3
    assert max(ends) <= width


def test_a_click_on_a_point_shows_its_findings_alone_and_a_second_one_all_again(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, rich_run())
    row = page.locator("#points tbody tr", has_text="queue.put")
    row.click()
    expect(page.locator("#found-head")).to_have_text("Findings at queue.put")
    expect(page.locator("#found article h3")).to_have_text("hang in queue.put")
    expect(row).to_have_attribute("aria-selected", "true")
    row.click()
    expect(page.locator("#found article")).to_have_count(2)


def test_the_keyboard_chooses_a_point_that_was_never_reached(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, rich_run())
    row = page.locator("#points tbody tr", has_text="mac.init")
    row.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_have_text("No fault was injected at mac.init.")
    assert row.locator("td.state").evaluate("e => getComputedStyle(e).color") == "rgb(179, 38, 30)"


def test_filters_leave_what_they_name(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, rich_run())
    shown = page.locator("#points tbody tr:visible")
    page.locator("#by-name").fill("queue")
    expect(page.locator("#found article")).to_have_count(1)
    assert all("queue" in name for name in shown.locator("td:first-child").all_inner_texts())
    page.locator("#clear").click()
    page.locator("#by-state").select_option("open")
    states = shown.locator("td.state").all_inner_texts()
    assert set(states) == {"never reached", "reached"}
    page.locator("#by-state").select_option("finding")
    expect(shown).to_have_count(2)


def test_the_scenarios_say_what_was_found_and_where_nothing_was_injected(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, rich_run())
    rows = {}
    for row in page.locator("#cells tbody tr").all():
        rows[row.locator("th").inner_text()] = row.locator("td").all_inner_texts()
    assert rows["zone.alloc"] == ["4, 1 found", "1+", ""]
    assert rows["stats"][0] == "nothing injected"


def test_a_clean_run_is_green_and_has_no_card(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, clean_run())
    expect(page.locator(".lead.good")).to_contain_text("(100.0 %); 0 findings")
    expect(page.locator("#found")).to_have_text("Nothing was found.")
    expect(page.locator("#shown")).to_have_text(f"{len(points())} of {len(points())} points")


def test_it_follows_the_readers_light_or_dark(page: Page, tmp_path: Path) -> None:
    for scheme, colour in (("dark", DARK), ("light", LIGHT)):
        page.emulate_media(color_scheme=scheme)
        show(page, tmp_path, rich_run())
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour
