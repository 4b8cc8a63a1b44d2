"""Which site and which of its three doors a public path is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from proxy.rules.identity import host_of
from proxy.rules.ingest import belongs
from proxy.settings import Site


class Door(StrEnum):
    """What a path of a site is for; also its metric label."""

    TAG = "tag"
    COLLECT = "collect"
    IMAGE = "image"


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
        for site, prefixes in sites:
            leaves = {Door.TAG: site.tag_name, Door.COLLECT: site.collect_name, Door.IMAGE: site.image_name}
            for prefix in dict.fromkeys(prefixes):
                for door, leaf in leaves.items():
                    self._by_path.setdefault(f"{prefix}/{leaf}", []).append(Entrance(door, site))

    def find(self, host: str, path: str) -> Entrance | None:
        """Return the entrance at a path: the one of the site the host belongs to, else the only one."""
        candidates = self._by_path.get(path, [])
        at_home = [entrance for entrance in candidates if belongs(entrance.site, host_of(host))]
        chosen = at_home or candidates
        return chosen[0] if len(chosen) == 1 else None

    def paths(self) -> Mapping[str, Sequence[Entrance]]:
        """Return every path with its entrances."""
        return self._by_path


def site_of(sites: Sequence[Site], host: str) -> Site | None:
    """Return the site of a host name, or the only site."""
    at_home = [site for site in sites if belongs(site, host_of(host))]
    chosen = at_home or sites
    return chosen[0] if len(chosen) == 1 else None
