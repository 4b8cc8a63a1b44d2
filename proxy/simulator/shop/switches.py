"""The three switches of the sample shop: what happens to the Pixel, where the tag stands, whether consent is asked for.

A switch is set by the query, and kept in a cookie.
"""

from collections.abc import Mapping

from aiohttp import web

SWITCHES = {
    "pixel": {"normal": "normal", "blocked": "blocked", "noconfig": "no config"},
    "tag": {"trap": "trap, then tag", "first": "tag first", "late": "late"},
    "consent": {"granted": "granted", "ask": "ask"},
}


def positions(request: web.Request) -> dict[str, str]:
    """Return the position of each switch from the query, else from its cookie, else the first there is."""
    chosen = {}
    for name, labels in SWITCHES.items():
        wanted = request.query.get(name) or request.cookies.get(cookie_of(name), "")
        chosen[name] = wanted if wanted in labels else next(iter(labels))
    return chosen


def cookie_of(name: str) -> str:
    """Return the name of the cookie that keeps a switch."""
    return f"demo_{name}"


def links(current: Mapping[str, str]) -> str:
    """Return the HTML that shows each switch with its positions."""
    return "\n".join(_group(name, position) for name, position in current.items())


def _group(name: str, current: str) -> str:
    links_ = "".join(
        f'<a href="?{name}={position}"{" aria-current=true" if position == current else ""}>{label}</a>'
        for position, label in SWITCHES[name].items()
    )
    return f'<div class="group" role="group" aria-label="{name}"><span>{name}</span>{links_}</div>'
