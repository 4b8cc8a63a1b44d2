"""Caches keep little of what strangers send: few short keys, and none that may be a secret."""

import gc
import importlib
import itertools
import pkgutil
from collections.abc import Iterator, Mapping
from functools import _lru_cache_wrapper
from types import ModuleType
from typing import Any

import orjson
import pytest
from received import Received, ingest

import proxy
from proxy.config.hosts import ascii_host
from proxy.config.schema import Site
from proxy.rules import tables
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.permission.bots import bot_reason
from proxy.rules.policy import Policy
from proxy.rules.request.client_address import Networks, client_of
from proxy.rules.request.sites import host_of, registrable

NOW = 1_764_000_000_000
SECRET = "secret-0123456789"
MOST_BYTES = 1_000_000
_LONGEST_HOST = 253


def modules() -> Iterator[ModuleType]:
    """Yield every module of the project that can be imported without running it."""
    for found in pkgutil.walk_packages(proxy.__path__, "proxy."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def caches() -> list["_lru_cache_wrapper[Any]"]:
    """Return all caches of the project, including those of methods and objects."""
    list(modules())
    return [value for value in gc.get_objects() if isinstance(value, _lru_cache_wrapper) and _is_ours(value)]


def _is_ours(cache: "_lru_cache_wrapper[Any]") -> bool:
    return str(getattr(cache, "__module__", "")).startswith("proxy.")


def cached_texts(cache: "_lru_cache_wrapper[Any]") -> Iterator[str | bytes]:
    """Yield every text in the keys and values of a cache, however deep."""
    waiting: list[Any] = gc.get_referents(cache)
    seen = {id(vars(cache))}  # its name and docstring
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type | ModuleType) or callable(value):
            continue
        seen.add(id(value))
        if isinstance(value, str | bytes):
            yield value
        elif isinstance(value, dict | list | tuple | frozenset | set) or type(value).__name__ == "_lru_list_elem":
            waiting += gc.get_referents(value)


def strangers() -> None:
    """Send thousands of requests with long texts of their own in every place."""
    site = Site.model_validate(
        {"name": "shop", "domains": ["shop.example"], "pixel": [{"id": "1", "access_token": "t"}]},
        context={"resolve": str},
    )
    policy = Policy(site, VisitorCookieKeys("s" * 32))
    for number in range(3000):
        text = f"{SECRET}-{number}-"
        long = text * 100
        address = f"https://www.shop.example/{long}?{text}={text}&token={long}"
        data = {text: text, long[:2000]: long, "page": address, "value": 1}
        hit = {"name": text, "id": text, "at": NOW, "pixels": ["1", "2"], "data": data}
        match = {"1": {"em": text, "ph": text, "fn": text, "country": text, text: text}}
        wire = {"v": 1, "sent": NOW, "url": address, "referrer": address, "match": match, "events": [hit]}
        request = Received(
            now=NOW,
            entropy=number,
            peer=f"2001:db8::{number % 7000:x}",
            host=f"{text}.shop.example",
            origin=f"https://{text}.shop.example",
            referer=address,
            cookie=f"{text}={long}; _fbp={long}",
            user_agent=long,
            brands=text,
            platform=text,
            forwarded=long,
            body=orjson.dumps(wire),
        )
        ingest(request, policy)
        ingest(request._replace(origin="", host=long), policy)
        host_of(address)
        host_of(long)
        host_of(f"https://é{number}.example/{long}")
        registrable(host_of(f"https://x{number}.example"))
        registrable(long)
        bot_reason(long, webdriver=False)
        client_of(text, long, Networks())
        client_of(long[:60], "", Networks())


@pytest.fixture(scope="module")
def filled() -> Mapping[str, list[str | bytes]]:
    """Return the texts in each cache after many requests of strangers."""
    tables.prepare()
    strangers()
    found = itertools.groupby(sorted(caches(), key=_name), key=_name)
    return {name: [text for cache in group for text in cached_texts(cache)] for name, group in found}


def _name(cache: "_lru_cache_wrapper[Any]") -> str:
    return f"{cache.__module__}.{getattr(cache, '__qualname__', '')}"


# Filled from our own tables and configuration, not from requests.
OURS = {
    "proxy.queue.postgres.plain_append._text",
    "proxy.queue.postgres.seen._find",
    "proxy.queue.postgres.seen.known_text",
    "proxy.queue.sqlite.segment_table._insert_sql",
    "proxy.queue.sqlite.visits._insert_if_new",
    "proxy.rules.payload.money.currencies",
    "proxy.rules.match.phone_plans._plans",
    "proxy.rules.match.phone_plans.prepare",
    "proxy.rules.match.usual_numbers._plans",
    "proxy.rules.match.usual_numbers._plans_of_codes",
    "proxy.rules.match.usual_numbers.compiled",
    "proxy.rules.match.location._english_countries",
    "proxy.rules.match.location._foreign_countries",
    "proxy.rules.match.location._states",
    "proxy.rules.match.location.hashed_countries",
    "proxy.rules.payload.redact.limits_of",
}


def test_every_cache_is_bounded() -> None:
    """No cache of any module is unbounded."""
    found = caches()

    assert len(found) >= len(OURS)
    assert [_name(value) for value in found if value.cache_parameters()["maxsize"] is None] == []


def test_no_cache_holds_long_texts(filled: Mapping[str, list[str | bytes]]) -> None:
    """A text from a request in a cache is no longer than a host name, and all of them are less than a megabyte."""
    theirs = {name: texts for name, texts in filled.items() if name not in OURS}

    assert {name for name, texts in theirs.items() for text in texts if len(text) > _LONGEST_HOST} == set()
    assert sum(len(text) for texts in theirs.values() for text in texts) < MOST_BYTES


def test_caches_hold_hosts_but_never_addresses(filled: Mapping[str, list[str | bytes]]) -> None:
    """Caches may keep hosts and IP addresses, but no path, query, cookie, user agent, name, id or contact data."""
    texts = [text for held_texts in filled.values() for text in held_texts if isinstance(text, str)]

    assert [text for text in texts if SECRET in text and not text.endswith(".shop.example")] == []
    assert [text for text in texts if "/" in text and SECRET in text] == []


def test_hosts_in_other_letters_are_few() -> None:
    """The cache of hosts in other scripts is bounded too, and long names are not kept in it."""
    for number in range(1000):
        ascii_host(f"é{number}" * 20)

    assert (
        max(len(text) for cache in caches() if "hosts" in _name(cache) for text in cached_texts(cache)) <= _LONGEST_HOST
    )
