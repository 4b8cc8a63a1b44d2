"""The paths of the doors for servers: by path alone, at the root and under each prefix."""

from pathlib import Path

import pytest

from proxy.config import load
from proxy.rules.request.routes import Routes
from proxy.rules.request.server_paths import ServerDoor, ServerPath, ServerPaths

GRAPH, GATEWAY = ServerDoor.GRAPH, ServerDoor.GATEWAY
PREFIXES = ("/k7f2q9w3", "/shop-tools", "/capi", "/v26")
PLACES = {
    "/v26.0/111/events": ServerPath(GRAPH, "111"),
    "/v13.0/111/events": ServerPath(GRAPH, "111"),
    "/v26/111/events": ServerPath(GRAPH, "111"),
    "/v26.0/111/events/": ServerPath(GRAPH, "111"),
    "//v26.0/111/events": ServerPath(GRAPH, "111"),
    "//v26.0//111//events//": ServerPath(GRAPH, "111"),
    "/k7f2q9w3/v26.0/111/events": ServerPath(GRAPH, "111"),
    "/shop-tools//v26.0/111/events": ServerPath(GRAPH, "111"),
    "/capi/111/events": ServerPath(GATEWAY, "111"),
    "//capi/111/events": ServerPath(GATEWAY, "111"),
    "/shop-tools//capi/111/events": ServerPath(GATEWAY, "111"),
    "/capi/capi/111/events": ServerPath(GATEWAY, "111"),
    "/capi/v26.0/111/events": ServerPath(GRAPH, "111"),
    "/v26/capi/111/events": ServerPath(GATEWAY, "111"),
    "/v26.0": ServerPath(GRAPH),
    "/v26.0/": ServerPath(GRAPH),
    "/v26.0/debug_token": ServerPath(GRAPH),
    "/v26.0/111/instruments": ServerPath(GRAPH),
    "/v26.0/me/events": ServerPath(GRAPH),
    "/v26.0/111/events/more": ServerPath(GRAPH),
    "/v26.0/١٢٣/events": ServerPath(GRAPH),
    "/v26.0/" + "1" * 21 + "/events": ServerPath(GRAPH),
    "/capi": ServerPath(GATEWAY),
    "/capi/111": ServerPath(GATEWAY),
    "/a-mistyped-prefix/v26.0/111/events": ServerPath(GRAPH),
    "/two/levels/capi/111/events": ServerPath(GATEWAY),
    "": None,
    "/": None,
    "//": None,
    "/shop-tools": None,
    "/shop-tools/m.js": None,
    "/events": None,
    "/111/events": None,
    "/version/111/events": None,
    "/v26.0x/111/events": None,
    "/CAPI/111/events": None,
}


@pytest.mark.parametrize(("path", "place"), PLACES.items(), ids=PLACES)
def test_a_door_is_found_by_its_path(path: str, place: ServerPath | None) -> None:
    """Each address that a client of Meta's makes of a host or a prefix leads to its door, and no other path does."""
    assert ServerPaths(PREFIXES).find(path) == place


def test_a_browsers_door_stays_one() -> None:
    """A site whose prefix looks like the beginning of a server's path keeps its own addresses."""
    site = {
        "name": "shop",
        "domains": ["shop.example"],
        "prefix": "/capi",
        "collect_name": "events",
        "pixel": [{"id": "1", "access_token": "t"}],
    }
    (parsed,) = load.parse({"site": [site]}, {}, base=Path()).settings.site
    routes = Routes([(parsed, ["/capi"])])

    assert routes.server_path("/capi/events") is None
    assert routes.server_path("/capi/m.js") is None
    assert routes.server_path("/capi/1/events") == ServerPath(GATEWAY, "1")
