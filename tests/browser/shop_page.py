"""The parts from which pages of the browser tests are made, and the settings of their shop."""

from collections.abc import Iterable
from typing import Any

from proxy.config.schema import Site
from proxy.edge.tag.build import trap_of

TAG_PATH = "/k/m.js"
COLLECT_PATH = "/k/e"
TAG = f'<script src="{TAG_PATH}"></script>'
ASYNC = f'<script async src="{TAG_PATH}"></script>'
TAKEN_OVER = "window.fbq && fbq.callMethod && !fbq.queue.length"
STUB = """
  if (window.fbq) return;
  var n = window.fbq = function () {
    n.callMethod ? n.callMethod.apply(n, arguments) : n.queue.push(arguments);
  };
  if (!window._fbq) window._fbq = n;
  n.push = n; n.loaded = true; n.version = "2.0"; n.queue = [];
"""
LOAD = """
  var s = document.createElement("script"); s.async = true; s.src = "/fbevents.js";
  var first = document.getElementsByTagName("script")[0]; first.parentNode.insertBefore(s, first);
"""
Pair = tuple[str, str, str]
"""Pixel, name and id of an event."""


def site(**settings: Any) -> Site:
    """Return the settings of the shop, with the defaults of the configuration."""
    pixels = [{"id": pixel, "access_token": "token"} for pixel in ("111", "222")]
    settings = {"name": "shop", "domains": ["shop.test"], "pixel": pixels, **settings}
    return Site.model_validate(settings, context={"resolve": str})


def script(*lines: str) -> str:
    """Wrap statements into a script element."""
    return "<script>" + ";\n".join(lines) + "</script>"


TRAP = f"<script>{trap_of(site())}</script>"
BASE = script(f"(function () {{ {STUB} {LOAD} }})()")
ALONE = script(f"(function () {{ {STUB} }})()")
INIT = script("fbq('init', '111')")
CALLS = script("fbq('init', '111')", "fbq('track', 'PageView')", "fbq('track', 'Lead', {value: 5})")


def mirrored(events: Iterable[dict[str, Any]]) -> list[Pair]:
    """Return pixel, name and id of each event that the tag sent, except the last one."""
    return sorted(
        (pixel, event["name"], event["id"]) for event in events for pixel in event["pixels"] if event["name"] != "End"
    )


def fired(hits: Iterable[dict[str, str]]) -> list[Pair]:
    """Return pixel, name and id of each event that the Pixel sent, except the last one."""
    return sorted((hit["id"], hit["ev"], hit.get("eid", "")) for hit in hits if hit["ev"] != "End")
