"""What the rules need of the configuration."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from proxy.config.schema import Pixel, Site
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.payload.names import Allowed, allowed_by
from proxy.rules.request.cookies import BROWSER_IDS, pattern_of
from proxy.rules.selection import ALL


@dataclass(frozen=True)
class Policy:
    """What the rules need of the configuration for one site."""

    site: Site
    keys: VisitorCookieKeys
    """The keys of the visitor cookie."""
    person_keys: Sequence[bytes] = ()
    """The keys of person digests, the current one first."""

    @cached_property
    def pixels(self) -> Mapping[str, Pixel]:
        """The site's pixels by id."""
        return {pixel.id: pixel for pixel in self.site.pixel}

    @cached_property
    def pixel_ids(self) -> tuple[str, ...]:
        """The ids of the site's pixels, in their order."""
        return tuple(self.pixels)

    @cached_property
    def joins_orders(self) -> bool:
        """Whether servers may send events of the orders that pages send events of."""
        return bool(self.site.access_keys or self.site.webhook)

    @cached_property
    def reads_order_pages(self) -> bool:
        """Whether the number in a thank-you page's address may be used: it is the shop server's order id."""
        others = (shop.order_id != "id" for shop in self.site.webhook if shop.kind == "woocommerce")
        return self.joins_orders and self.site.sensitive != "restricted" and not any(others)

    @cached_property
    def takes_all(self) -> bool:
        """Whether each of the site's pixels takes every event that the site may send."""
        return all(pixel.events == ALL for pixel in self.site.pixel)

    @cached_property
    def visitor_cookie_names(self) -> tuple[str, ...]:
        """The name of the site's visitor cookie, then those that old secrets gave it."""
        return self.keys.names(self.site.name)

    @cached_property
    def cookie_pattern(self) -> re.Pattern[str]:
        """The pattern of the cookies that matter: the browser's ids, and the visitor cookie under all its names."""
        return pattern_of((*BROWSER_IDS, *self.visitor_cookie_names))

    @cached_property
    def judges_bots(self) -> bool:
        """Whether it matters that a visitor is a machine."""
        return self.site.bots != "ignore"

    @cached_property
    def remembers_match(self) -> bool:
        """Whether the visitor cookie holds match keys of the visit."""
        return self.site.remember_match and self.site.sensitive != "restricted"

    @cached_property
    def consent_source(self) -> str:
        """Where a page's consent comes from: the consent managers that its tag asks, or calls of the Pixel."""
        return "+".join(self.site.consent_from) or "pixel"

    @cached_property
    def allowed(self) -> Allowed:
        """What of addresses and custom data may leave."""
        return allowed_by(self.site.keep_url_params, self.site.block_keys)
