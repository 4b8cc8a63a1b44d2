"""Alerts of a whole proxy: sent to real receivers, without delaying delivery, shown and tested at the operator API."""

from pathlib import Path
from typing import Any

import pytest
from alert_receivers import HOOK_SECRET, hook
from support import PIXEL, TOKEN, get_json, installation, page_views, until

SOON = {"after_seconds": 0, "failing_after_seconds": 0, "clear_seconds": 0}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.alerts.alerter.EVERY_S", 0.05)
    monkeypatch.setattr("proxy.alerts.post.LEAST_INTERVAL_MS", 0)
    monkeypatch.setattr("proxy.alerts.book._AFTER_START_MS", 0)


async def test_a_dead_token_is_told_with_metas_words_and_so_is_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The message has Meta's words, the pixel and what to do; another one follows when the pause is over."""
    async with hook() as slack:
        alerts = {**SOON, "webhook": [{"kind": "slack", "url": slack.url}]}
        async with installation(tmp_path, more={"alerts": alerts}) as shop:
            await shop.fault(mode="190", **{"for": 2})
            await shop.post(page_views(["1"]))
            await shop.counted(1)
            await until(lambda: len(slack.bodies) == 2, what="two messages")
            shown = await get_json(shop.session, f"{shop.operator}/api/alerts")
    first, second = (body["text"] for body in slack.bodies)

    assert f"A pixel is paused: {PIXEL}*" in first
    assert "Meta says: " in first
    assert "put a new access_token" in first
    assert f"Over: A pixel is paused: {PIXEL}" in second
    assert [sent["taken"] for sent in shown["sent"]] == [True, True]
    assert TOKEN not in first + second
    assert HOOK_SECRET not in caplog.text + str(shown)


async def test_a_receiver_that_hangs_delays_no_event(tmp_path: Path) -> None:
    """While a receiver of alerts hangs, events are acknowledged and delivered, and the proxy stops in time."""
    async with hook() as slack:
        slack.hangs = True
        alerts = {**SOON, "webhook": [{"kind": "slack", "url": slack.url}]}
        async with installation(tmp_path, more={"alerts": alerts}) as shop:
            await shop.fault(mode="500", **{"for": 2})
            await shop.post(page_views(["1"]))
            await until(lambda: slack.asked, what="an alert under way")
            await shop.post(page_views([str(number) for number in range(2, 50)]))
            await shop.counted(49)
            shown = await get_json(shop.session, f"{shop.operator}/api/alerts")

    assert slack.asked == 1
    assert (shown["receivers"][0]["waiting"], shown["sent"]) == (True, [])


async def test_the_operator_tries_the_receivers(tmp_path: Path) -> None:
    """A POST sends a test message, and returns each receiver's answer."""
    async with hook() as good, hook() as bad:
        bad.status, bad.said = 403, f"no such hook: {HOOK_SECRET}"
        alerts = {"webhook": [{"kind": "discord", "url": each.url} for each in (good, bad)]}
        async with (
            installation(tmp_path, more={"alerts": alerts}) as shop,
            shop.session.post(f"{shop.operator}/api/alerts/test", json={}) as answer,
        ):
            document = await answer.json()

    assert document["receivers"] == [
        {"name": "discord 127.0.0.1", "taken": True, "answer": "HTTP 200: ok"},
        {"name": "discord 127.0.0.1 (2)", "taken": False, "answer": "HTTP 403: no such hook: …"},
    ]
    assert good.bodies[0]["embeds"][0]["title"].endswith("Test of the alerts")


async def test_without_receivers_there_is_nothing_to_tell(tmp_path: Path) -> None:
    """Without receivers the API returns empty lists, and no file is written."""
    async with installation(tmp_path) as shop:
        shown: dict[str, Any] = await get_json(shop.session, f"{shop.operator}/api/alerts")
        async with shop.session.post(f"{shop.operator}/api/alerts/test", json={}) as answer:
            tried = await answer.json()

    assert (shown, tried) == ({"receivers": [], "alerts": [], "sent": []}, {"receivers": []})
    assert not (tmp_path / "data" / "alerts.json").exists()


async def test_banner_and_readiness_are_not_green_while_graph_fails(tmp_path: Path) -> None:
    """While Graph answers 500, the status of readiness and dashboard is not ready, with that reason."""
    async with installation(tmp_path) as shop:
        await shop.fault(mode="500", **{"for": 3})
        await shop.post(page_views(["1"]))

        async def degraded() -> dict[str, Any] | None:
            health = await get_json(shop.session, f"{shop.operator}/api/status")
            return health if health["status"] != "ready" else None

        health = await until(degraded, what="a condition")
        await shop.counted(1)

    (condition,) = health["conditions"]
    assert (condition["code"], condition["subject"]) == ("graph_errors", PIXEL)
