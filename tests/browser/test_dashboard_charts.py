"""The charts of the overview: a picture, a slider that reads out its values, and the same figures as a table."""

import re
from typing import Any

import pytest
from dashboard import Desk, Office
from playwright.async_api import expect

KINDS = "[...document.querySelectorAll('#chart-{0} .{1}')].map((shape) => shape.getAttribute('class'))"


@pytest.fixture(name="filled", scope="module", autouse=True)
async def _filled(office: Office) -> None:
    events: list[dict[str, Any]] = [
        {"name": "Lead", "id": f"chart-{number}", "pixel": "fired" if number % 4 else "blocked"} for number in range(12)
    ]
    await office.send(*events, {"name": "Purchase", "id": "chart-worthless"})
    await office.ended(*(event["id"] for event in events), "chart-worthless")


async def test_single_times_are_read_by_keyboard(desk: Desk) -> None:
    """When a chart has the focus, End and the arrows read out single times as a slider's value; Escape ends that."""
    await desk.open("overview?range=24h")
    slider = desk.page.get_by_role("slider", name="Events by outcome: time")
    readout = desk.page.locator("#chart-outcomes .readout")
    await slider.focus()
    await slider.press("End")
    latest = re.compile(r"\d:00: Delivered 12 · Dropped 1 · Duplicate 0 · Dead 0$")
    await expect(slider).to_have_attribute("aria-valuetext", latest)
    await expect(readout).to_have_text(latest)
    await slider.press("ArrowLeft")
    await expect(readout).to_have_text(re.compile("Delivered 0 · Dropped 0"))
    await slider.press("Escape")
    await expect(readout).to_contain_text("use the arrow keys")


async def test_the_pointer_reads_the_time_under_it(desk: Desk) -> None:
    """At the right edge of the picture the pointer reads the latest time, at the left edge the first."""
    await desk.open("overview?range=24h")
    plot = desk.page.locator("#chart-outcomes .plot")
    await plot.scroll_into_view_if_needed()
    box = await plot.bounding_box()
    assert box
    await desk.page.mouse.move(box["x"] + box["width"] - 12, box["y"] + 60)
    await expect(desk.page.locator("#chart-outcomes .readout")).to_contain_text("Delivered 12")
    await desk.page.mouse.move(box["x"] + 60, box["y"] + 60)
    await expect(desk.page.locator("#chart-outcomes .readout")).to_contain_text("Delivered 0")


async def test_nothing_known_looks_and_reads_different_from_zero(desk: Desk) -> None:
    """Hours without events are zeros in a chart of counts; in a chart of shares they are hatched and called unknown."""
    await desk.open("overview?range=24h")
    await expect(desk.page.locator("#chart-shares .missing").first).to_be_attached()
    assert await desk.page.evaluate(KINDS.format("outcomes", "missing")) == []
    await expect(desk.page.locator("#chart-shares .legend")).to_contain_text("nothing is known")
    await desk.open("overview?range=24h&view=tables")
    shares = desk.page.get_by_role("table").filter(has_text="Recovered, blocked, in pairs")
    outcomes = desk.page.get_by_role("table").filter(has_text="Events by outcome")
    await expect(shares.get_by_role("row").last).to_contain_text("not known")
    await expect(outcomes.get_by_role("row").last).not_to_contain_text("not known")


async def test_the_table_has_what_the_chart_shows(desk: Desk) -> None:
    """The table is one link away, is part of the address, and has the chart's figures, the newest first."""
    await desk.open("overview?range=24h")
    await desk.page.get_by_role("link", name="Show tables").click()
    await expect(desk.page).to_have_url(re.compile("view=tables"))
    await expect(desk.page.locator(".plot:visible")).to_have_count(0)
    copies = desk.page.get_by_role("table").filter(has_text="Browser copies")

    await expect(copies.get_by_role("row").nth(1)).to_contain_text(re.compile(r"\d:00\s*9\s*3\s*0"))
    await desk.page.get_by_role("link", name="Show charts").click()
    await expect(desk.page.get_by_role("slider")).to_have_count(5)


async def test_no_meaning_is_in_colour_alone(desk: Desk) -> None:
    """Each series of bars has a pattern of its own, each line a dash or a mark of its own."""
    await desk.open("overview?range=24h")
    bars = await desk.page.evaluate(
        "[...document.querySelectorAll('#chart-outcomes .legend rect')].map((bar) => bar.getAttribute('fill'))"
    )
    lines = await desk.page.evaluate(
        """[...document.querySelectorAll('#chart-shares .legend li:has(.curve)')].map((item) =>
             getComputedStyle(item.querySelector('.curve')).strokeDasharray + item.querySelector('.marker').tagName)"""
    )

    assert len(set(bars)) == len(bars) == 4
    assert len(set(lines)) == len(lines) == 3


async def test_axes_have_units_and_the_viewers_times(desk: Desk) -> None:
    """The number axis begins at zero and names its unit; times are those of the viewer's zone, whose name is shown."""
    await desk.open("overview?range=24h")
    texts = await desk.page.locator("#chart-outcomes .plot text").all_text_contents()

    assert "0" in texts
    assert [text for text in texts if re.fullmatch(r"\d\d:\d\d", text)]
    await expect(desk.page.locator("#chart-outcomes figcaption")).to_contain_text("events")
    await expect(desk.page.locator("#chart-lag figcaption")).to_contain_text("upper bound")
    await expect(desk.page.locator("#period")).to_contain_text("times in UTC")


@pytest.mark.parametrize("width", [390, 700, 1280])
async def test_a_chart_is_as_wide_as_its_place(desk: Desk, width: int) -> None:
    """The picture is drawn for the width it has, so that its letters are never scaled."""
    await desk.page.set_viewport_size({"width": width, "height": 800})
    await desk.open("overview?range=7d")
    widths = "#chart-outcomes"
    svg, plot = await desk.page.evaluate(
        "place => [place + ' svg', place + ' .plot'].map((path) => document.querySelector(path).clientWidth)", widths
    )

    assert svg == plot
    assert svg <= width


async def test_scales_are_round_and_follow_the_calendar(desk: Desk) -> None:
    """Marks are round numbers from 0 on, whole numbers for counts, and round times of the viewer's zone."""
    await desk.open("doctor")
    marks = await desk.page.evaluate(
        """async () => {
          const { numberTicks, timeTicks } = await import('/operator-scale.js');
          const year = [Date.parse('2026-01-15T00:00:00Z'), Date.parse('2027-01-15T00:00:00Z')];
          return {
            few: numberTicks(3, true), none: numberTicks(0, true), many: numberTicks(1_234_567, true),
            share: numberTicks(1, false), tiny: numberTicks(0.003, false),
            months: timeTicks(...year, 12).map(({ text }) => text),
            hours: timeTicks(year[0], year[0] + 3600e3, 4).map(({ text }) => text),
          };
        }"""
    )

    assert marks["few"] == [0, 1, 2, 3]
    assert marks["none"] == [0, 1]
    assert marks["many"] == [0, 500_000, 1_000_000, 1_500_000]
    assert marks["share"] == [0, 0.25, 0.5, 0.75, 1]
    assert marks["tiny"][0] == 0
    assert marks["tiny"][-1] >= 0.003
    assert marks["months"][0] == "1 Feb"
    assert all(text.startswith("1 ") for text in marks["months"])
    assert marks["hours"][0] == "15 Jan"


async def test_figures_of_nothing_say_so(desk: Desk) -> None:
    """If nothing was counted, no chart is drawn, and no share of nothing is shown."""
    await desk.open("overview?range=24h&name=NeverSeen")
    page = desk.page
    await expect(page.locator("#chart-outcomes")).to_contain_text("No event ended in this period.")
    await expect(page.locator("#chart-copies")).to_contain_text("No page sent an event in this period.")
    await expect(page.locator("#left-out")).to_contain_text("No event ended in this period.")
    await expect(page.locator(".plot:visible")).to_have_count(0)
    said = await page.locator("#totals").inner_text()
    assert "0 of 0" not in said
    assert "not known of" not in said
    assert "of recovered events of this name" in said


async def test_only_nothing_and_all_are_said_to_be_so(desk: Desk) -> None:
    """A share is shown as 0 % or 100 % only if it is exactly that."""
    await desk.open("doctor")
    shares = [None, 0, 0.00004, 0.004, 0.0949, 0.5, 0.994, 0.9968, 0.99996, 1]
    script = "async (shares) => shares.map((await import('/operator-format.js')).percent)"

    assert await desk.page.evaluate(script, shares) == [
        "not known", "0 %", "under 0.1 %", "0.4 %", "9.5 %", "50 %", "99 %", "99.7 %", "over 99.9 %", "100 %",
    ]  # fmt: skip
