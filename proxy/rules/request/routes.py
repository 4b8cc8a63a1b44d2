"""Which site, and which of its doors (endpoints), a public path belongs to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from proxy.config.schema import Site
from proxy.rules.request.server_paths import ServerPath, ServerPaths
from proxy.rules.request.sites import domain_of_host, host_of


class Door(StrEnum):
    """The endpoints of a site for browsers; also their labels in metrics."""

    TAG = "tag"
    COLLECT = "collect"
    IMAGE = "image"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Entrance:
    """One door of one site."""

    door: Door
    site: Site


class Routes:
    """All public paths of the configured sites."""

    def __init__(self, sites: Iterable[tuple[Site, Sequence[str]]]) -> None:
        """Take each site with its prefixes: the current one, and those that old secrets gave it."""
        self._by_path: dict[str, list[Entrance]] = {}
        listed = list(sites)
        self._server_paths = ServerPaths(prefix for _, prefixes in listed for prefix in prefixes)
        for site, prefixes in listed:
            leaves = {
                Door.TAG: site.tag_name,
                Door.COLLECT: site.collect_name,
                Door.IMAGE: site.image_name,
                Door.CHOICE: site.choice_name,
            }
            for prefix in dict.fromkeys(prefixes):
                for door, leaf in leaves.items():
                    self._by_path.setdefault(f"{prefix}/{leaf}", []).append(Entrance(door, site))

    def find(self, host: str, path: str) -> Entrance | None:
        """Return the entrance at a path: the only one, or that of the site the host belongs to; else None."""
        candidates = self._by_path.get(path, [])
        if len(candidates) == 1:
            return candidates[0]
        site = site_of([entrance.site for entrance in candidates], host)
        return next((entrance for entrance in candidates if entrance.site is site), None)

    def server_path(self, path: str) -> ServerPath | None:
        """Return the door for servers at a path, unless the path is a browser's door of some site."""
        return None if path in self._by_path else self._server_paths.find(path)

    def paths(self, door: Door) -> list[str]:
        """Return the paths of a door, of all sites."""
        return [path for path, entrances in self._by_path.items() if any(each.door is door for each in entrances)]

    def knows(self, path: str) -> bool:
        """Tell whether a path is a door of some site, whatever the host."""
        return path in self._by_path


def site_of(sites: Sequence[Site], host: str) -> Site | None:
    """Return the site a host name belongs to most closely, or the only site; None if there is neither."""
    homes = {len(domain_of_host(site, host_of(host))): site for site in sites}
    closest = max(homes, default=0)
    if closest:
        return homes[closest]
    return sites[0] if len(sites) == 1 else None
