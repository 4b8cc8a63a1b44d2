"""The load of bench/ingest.py: its mix of events, its visitors, and ids that are never repeated."""

import itertools
import json
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from shop_pages import BETWEEN, SHARES, WITHIN, Requests, heads, keep, pages, read, visitors

_HEADS = [(visitor.head(), visitor.fbp) for visitor in visitors(50)]


def _sent(events: int, count: int, run: int = 7) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """Return headers and body of each request."""
    return [_parsed(request) for request in islice(Requests(pages(events, 200), _HEADS, run), count)]


def _parsed(request: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    headers = {name: value for name, _, value in lines}
    assert int(headers["Content-Length"]) == len(body)
    return headers, json.loads(body)


def _events(sent: list[tuple[dict[str, str], dict[str, Any]]]) -> list[dict[str, Any]]:
    return [event for _, body in sent for event in body["events"]]


@pytest.mark.parametrize("size", [1, 5, 20])
def test_the_mix_is_a_shops(size: int) -> None:
    """However many events a request has, each event name has its share of all events."""
    names = Counter(event["name"] for event in _events(_sent(size, 200)))

    assert names == {name: round(share * 200 * size) for name, share in SHARES.items()}


def test_no_id_comes_twice() -> None:
    """Ids differ between events, between visits of one visitor, and between runs."""
    sent = [*_sent(5, 600, run=7), *_sent(5, 600, run=8), *_sent(1, 600, run=9)]
    ids = [event["id"] for event in _events(sent)]

    assert len(ids) == len(set(ids)) == 6600


def test_ids_have_the_form_that_the_tag_gives_them() -> None:
    """An id begins with the time of its event in milliseconds, and a Purchase's is that of its order."""
    for event in _events(_sent(5, 100)):
        if event["name"] == "Purchase":
            assert re.fullmatch(r"order-shop-\d+", event["id"])
        else:
            assert re.fullmatch(rf"{event['at']}0\.\d{{16}}", event["id"])


def test_only_purchases_bring_contact_data_and_it_does_not_repeat() -> None:
    """Each Purchase has another e-mail address and phone number, in a second run too."""
    sent = [*_sent(1, 600, run=7), *_sent(1, 600, run=8)]
    contacts = [body["match"]["1001"] for _, body in sent if body["events"][0]["name"] == "Purchase"]
    others = [body["match"]["1001"] for _, body in sent if body["events"][0]["name"] != "Purchase"]

    assert len(contacts) == len({contact["em"] for contact in contacts}) == len({c["ph"] for c in contacts}) == 60
    assert not any(others)


def test_each_request_is_of_another_visitor() -> None:
    """Addresses, cookies and browser ids of consecutive requests differ until each visitor has come once."""
    sent = _sent(1, 50)

    for header in ("X-Forwarded-For", "Cookie"):
        assert len({headers[header] for headers, _ in sent}) == 50
    assert all(f"_fbp={body['fbp']};" in headers["Cookie"] for headers, body in sent)


def test_times_are_those_of_the_clock() -> None:
    """An event happened just before its request was sent."""
    requests = Requests(pages(1, 10), _HEADS, 1, now=itertools.count(1_764_000_000_000, 1000).__next__)
    sent = [_parsed(request)[1] for request in islice(requests, 3)]

    assert [body["sent"] for body in sent] == [1_764_000_000_000, 1_764_000_001_000, 1_764_000_002_000]
    assert all(body["sent"] - body["events"][0]["at"] == 40 for body in sent)


def test_visitors_keep_cookies_as_a_browser_does() -> None:
    """A cookie that an answer sets replaces an earlier one, and one with max-age=0 is deleted."""
    cookies = {"a": "1", "b": "2"}
    keep(cookies, "HTTP/1.1 204 No Content\r\nset-cookie: a=3; Path=/\r\nSet-Cookie: b=; Max-Age=0\r\nx: c=4\r\n\r\n")

    assert cookies == {"a": "3"}


def test_files_give_back_what_was_written(tmp_path: Path) -> None:
    """Header line ends and marks of pages survive writing and reading."""
    some = pages(5, 3)
    (tmp_path / "pages").write_text(BETWEEN.join(some))
    (tmp_path / "visitors").write_text(BETWEEN.join(WITHIN.join(head) for head in _HEADS))

    assert read(tmp_path / "pages") == some
    assert heads(tmp_path / "visitors") == _HEADS
