"""Whom a server's event is about: only what the event itself says counts, never who sent it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from proxy.graph.law import BUSINESS_KEYS
from proxy.model.server_request import ServerHit
from proxy.rules import limits
from proxy.rules.effort import Effort
from proxy.rules.identity.browser_ids import click_id, valid_fbc, valid_fbp
from proxy.rules.identity.person import Person, digests, is_too_broad
from proxy.rules.match import keys
from proxy.rules.payload.secret_shapes import shape_of
from proxy.rules.policy import Policy
from proxy.rules.server_wire.values import ip_address_of, without_appendix

_HASHED_OR_PLAIN = frozenset({*keys.HASHED, *keys.PLAIN})


def person_of_server(hit: ServerHit, policy: Policy, *, now: int, effort: Effort) -> Person:
    """Return whom an event is about: raw values hashed, hashed ones as they are.

    Args:
        hit: The event; the click id in its address is used if it has no ``fbc``.
        policy: What the configuration says of its site.
        now: Server clock in milliseconds.
        effort: What is left of the event's budget.
    """
    claimed = hit.user_data
    told = {name: list(values) for name, values in claimed.items() if name in _HASHED_OR_PLAIN}
    country, year = policy.site.country.lower(), datetime.fromtimestamp(now / 1000, UTC).year
    found = keys.match_keys(told, country=country, year=year, effort=effort) if told else keys.NOTHING
    user_data: dict[str, Any] = {**found.plain, **found.hashed}
    findings = list(found.findings)
    user_data |= _client_keys(claimed, findings)
    user_data |= _business_keys(claimed, findings, effort)
    if "fbc" not in user_data and hit.action_source == "website" and (click := click_id(hit.url)):
        # As Meta's builder makes it where no cookie is saved (Meta, fbp and fbc parameters).
        user_data["fbc"] = f"fb.1.{hit.time_s * 1000}.{without_appendix(click)}"
    return Person(user_data, digests(user_data, policy.person_keys), is_too_broad(user_data), tuple(findings))


def _business_keys(claimed: Mapping[str, tuple[str, ...]], findings: list[str], effort: Effort) -> dict[str, str]:
    """Return the keys that name a business; a value that is personal beyond doubt is left out."""
    found = {name: claimed[name][0][: limits.ID] for name in BUSINESS_KEYS if name in claimed}
    personal = [name for name, text in found.items() if shape_of(text, effort, is_id=True)]
    findings += [f"{name}:unusable" for name in personal]
    return {name: text for name, text in found.items() if name not in personal}


def _client_keys(claimed: Mapping[str, tuple[str, ...]], findings: list[str]) -> dict[str, str]:
    """Return the buyer's IP address, user agent and browser ids, as far as they are usable."""
    found: dict[str, str] = {}
    for name, read in _READ.items():
        for text in claimed.get(name, ())[:1]:
            if usable := read(text, findings):
                found[name] = usable
            else:
                findings.append(f"{name}:unusable")
    return found


def _address(text: str, findings: list[str]) -> str:
    """Return an IP address; a private one is hardly the buyer's, but is kept as the sender gave it, with a finding."""
    address = ip_address_of(text)
    if address is None:
        return ""
    if not address.is_global:
        findings.append("client_ip_address:doubtful")
    return str(address)


def _agent(text: str, findings: list[str]) -> str:
    if not text.isprintable():
        return ""
    if len(text) > limits.USER_AGENT:
        findings.append("client_user_agent:cut")
    return text[: limits.USER_AGENT]


_READ: Mapping[str, Callable[[str, list[str]], str]] = {
    "client_ip_address": _address,
    "client_user_agent": _agent,
    "fbp": lambda text, _: valid_fbp(text),
    "fbc": lambda text, _: valid_fbc(text),
}
