"""Pixels over the operator API: the operator's pause, test codes that expire, and Meta's facts about a token."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support import PIXEL, TOKEN, Installation, get_json, installation, page_views, until

from proxy.graph.token_health import token_health


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


async def _order(shop: Installation, word: str, order: Any = None, pixel: str = PIXEL) -> tuple[int, dict[str, Any]]:
    address = f"{shop.operator}/api/pixels/{pixel}/{word}"
    async with shop.session.post(address, json=order or {}) as answer:
        return answer.status, await answer.json()


async def _sent(shop: Installation) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = (await get_json(shop.session, f"{shop.graph}/sim/events"))["events"]
    return events


async def test_a_pause_of_the_operator_outlives_a_restart(tmp_path: Path) -> None:
    """A pixel that the operator paused sends nothing, also after a restart and with new events, until it is resumed."""
    async with installation(tmp_path) as shop:
        status, pixel = await _order(shop, "pause")
        assert (status, pixel["state"]) == (200, "stopped")
        await shop.post(page_views(["kept"]))
    async with installation(tmp_path) as shop:
        health = await get_json(shop.session, f"{shop.operator}/readyz")
        (pixel,) = (await get_json(shop.session, f"{shop.operator}/api/pixels"))["pixels"]
        await shop.post(page_views(["kept-too"]))

        async def both_wait() -> bool:
            return len((await get_json(shop.session, f"{shop.operator}/api/waiting"))["waiting"]) == 2

        await until(both_wait, what="two waiting events")
        before = await _sent(shop)
        waiting = (await get_json(shop.session, f"{shop.operator}/api/waiting"))["waiting"]
        _, resumed = await _order(shop, "resume")
        await shop.counted(2)
        over = await get_json(shop.session, f"{shop.operator}/readyz")

    assert (health["status"], [each["code"] for each in health["conditions"]]) == ("degraded", ["pixel_stopped"])
    assert (pixel["state"], pixel["paused"]) == ("stopped", "")
    assert pixel["stopped_at"]
    assert before == []
    assert {event["id"] for event in waiting} == {"kept", "kept-too"}
    assert resumed["stopped_at"] is None
    assert over["conditions"] == []


async def test_a_second_pause_changes_nothing(shop: Installation) -> None:
    """A second pause reports the moment of the first; a second resume succeeds and changes nothing."""
    (_, first), (_, second) = await _order(shop, "pause"), await _order(shop, "pause")
    (_, third), (_, fourth) = await _order(shop, "resume"), await _order(shop, "resume")

    assert first["stopped_at"] == second["stopped_at"]
    assert third["stopped_at"] is fourth["stopped_at"] is None


async def test_a_pause_of_meta_is_probed_when_the_operator_resumes(shop: Installation) -> None:
    """If Meta paused the pixel, the operator's resume sends a probe at once, so a repaired token works at once."""
    await shop.fault(mode="190", **{"for": 300})
    await shop.post(page_views(["probe"]))

    async def paused() -> bool:
        (pixel,) = (await get_json(shop.session, f"{shop.operator}/api/pixels"))["pixels"]
        return pixel["state"] == "paused" and bool(pixel["retry_at"])

    await until(paused, what="a pause")
    await shop.fault(mode=None)
    status, _ = await _order(shop, "resume")
    await shop.counted(1, seconds=4.0)

    assert status == 200


async def test_a_test_code_goes_with_events_until_it_ends(shop: Installation) -> None:
    """Events carry the ordered test code, and none after its end."""
    status, ordered = await _order(shop, "test", {"code": "TEST77", "minutes": 5})
    await shop.post(page_views(["with-code"]))

    async def there(identity: str) -> dict[str, Any] | None:
        return next((event for event in await _sent(shop) if event["id"] == identity), None)

    with_code = await until(lambda: there("with-code"), what="an event")
    _, ended = await _order(shop, "test", {"code": ""})
    await shop.post(page_views(["without-code"]))
    without = await until(lambda: there("without-code"), what="another event")

    assert (status, ordered["test"]["code"], ended["test"]) == (200, "TEST77", None)
    assert with_code["request"]["test_event_code"] == "TEST77"
    assert "test_event_code" not in without["request"]


@pytest.mark.parametrize(
    ("word", "order", "pixel"),
    [
        ("pause", {}, "999"),
        ("resume", {}, "all"),
        ("test", {}, PIXEL),
        ("test", {"code": 5}, PIXEL),
        ("test", {"code": "<b>"}, PIXEL),
        ("test", {"code": "TEST1", "minutes": 0}, PIXEL),
        ("test", {"code": "TEST1", "minutes": True}, PIXEL),
        ("test", {"code": "TEST1", "minutes": 100_000}, PIXEL),
        ("token", {}, "999"),
    ],
)
async def test_an_order_that_is_none_is_explained(
    shop: Installation, word: str, order: dict[str, Any], pixel: str
) -> None:
    """An order for an unknown pixel or with an invalid value is a 400 that says what is accepted."""
    status, answer = await _order(shop, word, order, pixel)

    assert (status, "accepted" in answer["error"]) == (400, True)


async def test_what_meta_says_of_a_token_is_shown_without_it(shop: Installation) -> None:
    """On request Meta's answer about the token is shown: validity, end and scopes. The token is in no answer."""
    _, pixel = await _order(shop, "token")
    await shop.post(page_views(["success"]))

    async def succeeded() -> dict[str, Any] | None:
        (shown,) = (await get_json(shop.session, f"{shop.operator}/api/pixels"))["pixels"]
        return shown if shown["last_success"] and shown["delivered"] else None

    shown = await until(succeeded, what="a success")

    assert (pixel["token"]["is_valid"], pixel["token"]["expires_at"], pixel["token"]["error"]) == (True, None, "")
    assert "ads_management" in pixel["token"]["scopes"]
    assert shown["token"] == pixel["token"], "it is not asked again within the hour"
    assert TOKEN not in str(shown)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"data": {"is_valid": true, "expires_at": 0, "scopes": ["a"]}}', (True, None, None, ("a",), "")),
        (b'{"data": {"is_valid": true, "expires_at": 5, "data_access_expires_at": 3}}', (True, 5000, 3000, (), "")),
        (
            b'{"data": {"is_valid": false, "error": {"code": 190, "message": "expired"}}}',
            (False, None, None, (), "code 190: expired"),
        ),
        (b'{"error": {"code": 190, "message": "no"}}', (None, None, None, (), "code 190: no")),
        (b'{"data": {"is_valid": 1, "expires_at": true, "scopes": [7, "a"]}}', (None, None, None, ("a",), "")),
        (b'{"data": {"expires_at": 1e400, "scopes": {}}}', None),
        (b"<html>", None),
        (b"[]", None),
        (b'{"data": 5}', None),
    ],
)
def test_answers_about_tokens(body: bytes, expected: tuple[Any, ...] | None) -> None:
    """Graph's answers about tokens are read correctly; an unreadable answer is reported as such."""
    health = token_health(200, body, 1)

    assert health.asked_at == 1
    if expected is None:
        assert health[1:-1] == (None, None, None, ())
        assert "no answer that can be read" in health.error
    else:
        assert health[1:] == expected


def test_metas_words_about_a_token_never_quote_it() -> None:
    """An error message that contains the token is shown without it."""
    token = "EAAB" + "x" * 180
    body = f'{{"error": {{"code": 190, "message": "Malformed access token {token}"}}}}'.encode()

    assert "xxxx" not in token_health(400, body, 1).error
