"""Events of a backend, valid and invalid, with contact data wherever a backend might put it."""

import time
from urllib.parse import quote

import aiohttp
import orjson
from machine import Machine
from planted import ACCESS_KEY, ADDRESS, AGENT, EMAIL, FBC, FBP, MATCH, NAME, OTHER_TOKEN, PHONE, SURNAME, TRIED_KEY
from support import PIXEL


def _order(identity: str, **members: object) -> dict[str, object]:
    """Return an event of a backend that hashes no contact data."""
    known = {"client_ip_address": ADDRESS, "client_user_agent": AGENT, "fbp": FBP, "fbc": FBC}
    return {
        "event_name": "Purchase",
        "event_time": int(time.time()),
        "event_id": identity,
        "action_source": "website",
        "event_source_url": f"https://shop.example/u/{EMAIL}/p?email={quote(EMAIL)}&token={OTHER_TOKEN}",
        "user_data": MATCH[PIXEL] | known,
        "custom_data": {"value": 12.5, "currency": "EUR", "note": f"{NAME} {SURNAME}, {EMAIL}, {PHONE}"},
        **members,
    }


async def server_events(session: aiohttp.ClientSession, machine: Machine) -> bytes:
    """Send events of a backend, valid and invalid, to both endpoints; return all answers."""
    old, answers = {"event_time": int(time.time()) - 30 * 86_400}, []
    odd = [EMAIL, {EMAIL: PHONE}, [NAME, EMAIL]]
    required = ("event_time", "action_source", "user_data", "custom_data")
    refused = [_order("bad", **{member: each}) for member in required for each in odd]
    mended = [_order("mended", event_source_url=each, referrer_url=each, app_data={EMAIL: each}) for each in odd]
    whole = orjson.dumps({"data": [_order("bad")]})
    bodies = [
        (200, {"data": [_order("from-a-server"), _order(EMAIL), _order("server-2", event_name=EMAIL)]}),
        *((400, {"data": [_order("good"), event]}) for event in (_order("old", **old), *refused)),
        *((200, {"data": [event]}) for event in mended),
        *((400, body) for body in (whole[:-1], whole[:-1] + EMAIL.encode(), EMAIL.encode(), orjson.dumps(EMAIL))),
        (400, {"data": [_order("good"), _order(EMAIL, **old), _order(f"order of {NAME} {PHONE}", **old)]}),
        (400, {"data": [EMAIL]}),
        (400, {"data": f"[{EMAIL}]"}),
    ]
    for door in ("v26.0", "capi"):
        for status, body in bodies:
            data = body if isinstance(body, bytes) else orjson.dumps(body)
            address = f"{machine.public}/{door}/{PIXEL}/events?access_token={ACCESS_KEY}"
            async with session.post(address, data=data, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status in (status, 202), data
                answers.append(await answer.read())
    async with session.post(f"{machine.public}/v26.0/{PIXEL}/events?access_token={TRIED_KEY}", data=whole) as answer:
        assert answer.status == 401
        answers.append(await answer.read())
    return b"\n".join(answers)
