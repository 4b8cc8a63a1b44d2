"""A page of a site, and the address at which the page's browser reaches the proxy."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from proxy.config.schema import Site


@dataclass(frozen=True, slots=True)
class PublicPlace:
    """A page of a site, and the proxy at the address that the page uses."""

    site: Site
    prefix: str
    """The public path of the site."""
    page: str
    """The address of the page."""
    base: str
    """Scheme and host of the proxy."""
    trap: str
    """The inline script that stands in the page before the tag."""
    old_prefixes: Sequence[str] = ()
    """Public paths that old secrets gave the site."""

    @property
    def tag(self) -> str:
        """The address of the tag."""
        return f"{self.base}{self.prefix}/{self.site.tag_name}"

    @property
    def collect(self) -> str:
        """Where events are posted."""
        return f"{self.base}{self.prefix}/{self.site.collect_name}"

    @property
    def image(self) -> str:
        """The image for browsers without scripts."""
        return f"{self.base}{self.prefix}/{self.site.image_name}"

    @property
    def origin(self) -> str:
        """The origin of the page."""
        return origin_of(self.page)

    @property
    def host(self) -> str:
        """The proxy's host, as visitors ask for it."""
        return urlsplit(self.base).hostname or ""


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address as browsers write an origin."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{host}{'' if parts.port in {None, usual} else f':{parts.port}'}"
