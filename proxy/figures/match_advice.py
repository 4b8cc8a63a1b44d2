"""Advice in words: what an owner can do so that more events are matched, the most effective first."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proxy.figures.sums import Sums


@dataclass(frozen=True, slots=True)
class Advice:
    """A match key that would raise the estimate, and how to send it."""

    key: str
    gain: float
    """By how much the estimate (0 to 10) would rise at most: if every event had the key."""
    text: str


_CHECKOUT = frozenset({"Purchase", "InitiateCheckout", "AddPaymentInfo", "Subscribe", "StartTrial", "Donate"})
_FORM = frozenset({"Lead", "CompleteRegistration", "Contact", "SubmitApplication", "Schedule"})
# Advice for events of pages on keys for which the usual one, to pass the key to ``fbq('init')``, does not do.
_ADVICE_FOR_PAGES: Mapping[str, str] = MappingProxyType(
    {
        "fbp": "the browser keeps no cookies of your site: serve the proxy from the site's own domain",
        "client_ip_address": "let the proxy see visitors' public addresses: server.trusted_proxies, client_ip_header",
        "client_user_agent": "let the server in front pass the header User-Agent on",
        "external_id": "pass external_id, your own number of the customer, to fbq('init')",
    }
)
_ADVICE_FOR_SERVERS: Mapping[str, str] = MappingProxyType(
    {
        "fbp": "let the page tell of the order too, or send its cookie _fbp as user_data.fbp",
        "client_ip_address": "let the page tell of the order too, or send the buyer's address in user_data",
        "client_user_agent": "let the page tell of the order too, or send the buyer's user agent in user_data",
    }
)
# Keys that an owner cannot add: they come from a click on an ad, a login at Facebook, or a lead form of Meta.
_KEYS_FROM_META = frozenset({"fbc", "fb_login_id", "lead_id"})


def advice_on(gains: Mapping[str, int], sums: Sums, name: str) -> tuple[Advice, ...]:
    """Return the advice for some match keys, the one that helps most first.

    Args:
        gains: By match key: by how many hundredths the estimate would rise.
        sums: The events, which show whether those of pages or of servers lack the key.
        name: The name of the events, when all have the same.
    """
    in_hand = sorted((-gain, key) for key, gain in gains.items() if key not in _KEYS_FROM_META)
    return tuple(
        Advice(key, -loss / 100, _text(key, name, is_servers=_is_lacked_by_servers(sums, key))) for loss, key in in_hand
    )


def _is_lacked_by_servers(sums: Sums, key: str) -> bool:
    """Tell whether more delivered events of servers than of pages lack a key."""
    of_pages = sums.delivered(by_servers=False) - sums.page_keys.get(key, 0)
    return sums.delivered(by_servers=True) - sums.server_keys.get(key, 0) > of_pages


def _text(key: str, name: str, *, is_servers: bool) -> str:
    if is_servers:
        return _ADVICE_FOR_SERVERS.get(key, f"send {key} in user_data of your server's events")
    return _ADVICE_FOR_PAGES.get(key, f"pass {key} to fbq('init') {_where(name)}")


def _where(name: str) -> str:
    if name in _CHECKOUT:
        return "at checkout"
    return "where the form is sent" if name in _FORM else "as soon as the visitor is known, such as after a login"
