"""The browser behind a request: how the proxy stands to its page, what its keeper holds, the cookies that keep it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from proxy.model import Facts, Visit
from proxy.rules import address, identity, memory, pii
from proxy.rules.effort import Effort
from proxy.rules.keeper import MAX_AGE_S, NOTHING, Found, Keeper, KeeperKeys, renewed
from proxy.rules.people import number_digests
from proxy.settings import Site


@dataclass(frozen=True, slots=True)
class Policy:
    """What the rules need of the configuration for one site."""

    site: Site
    trusted: address.Networks
    keys: KeeperKeys
    client_ip_header: str = "X-Forwarded-For"
    people_keys: Sequence[bytes] = ()
    """Under which people have digests, the current one first."""


def place_of(facts: Facts, *, believed: bool, own_page: bool = False) -> identity.Place:
    """Return how the proxy stands to the page of a request.

    A browser lets an https page reach https only, so the origin's scheme tells, whatever a proxy in front says.

    Args:
        facts: The request.
        believed: It came from a trusted proxy, which saw the visitor's own: its word for host and scheme counts.
        own_page: The page is the proxy's own.
    """
    host, secure = facts.host, facts.secure
    if believed:
        host = facts.forwarded_host.rpartition(",")[2].strip() or host
    page = host if own_page else facts.origin or facts.referer
    secure = secure or page.startswith("https://")
    if believed and not secure:
        secure = facts.forwarded_proto.rpartition(",")[2].strip().lower() == "https"
    return identity.place(identity.host_of(host), identity.host_of(page), secure=secure)


_NONE = Found(NOTHING, "")


def kept_by(facts: Facts, where: identity.Place, cookies: Mapping[str, str], policy: Policy) -> Found:
    """Return what the browser's keeper holds; a cookie of another site is none of ours."""
    found = policy.keys.find(cookies, policy.site.name, now=facts.now) if where.at_home and cookies else None
    return found or _NONE


def kept_from_now(  # noqa: PLR0913, PLR0917 - what was kept, what came, and what it may cost
    kept: Keeper, visit: Visit, ids: identity.BrowserIds, facts: Facts, policy: Policy, effort: Effort
) -> Keeper:
    """Return what the keeper holds after a visit that may be measured."""
    site = policy.site
    visitor = (kept.visitor or policy.keys.new_visitor(facts.entropy)) if site.visitor_id else ""
    keeper = renewed(kept, visitor, ids, consent=visit.consent, now=facts.now)
    if not site.remember_match or site.sensitive == "restricted":
        return memory.forgotten(keeper)
    given = (match_keys(visit, pixel.id, facts, site, effort).hashed for pixel in site.pixel)
    return memory.remembered(keeper, memory.together(given), now=facts.now)


def match_keys(visit: Visit, pixel_id: str, facts: Facts, site: Site, effort: Effort) -> pii.MatchKeys:
    """Return what the page told of the visitor for one pixel."""
    given = visit.match.get(pixel_id)
    if not given:
        return pii.NOTHING
    year = datetime.fromtimestamp(facts.now / 1000, UTC).year
    return pii.match_keys(given, country=site.country.lower(), year=year, effort=effort)


def proven(kept: Keeper, policy: Policy) -> tuple[bytes, ...]:
    """Return the digests by which suppressions of this browser are known, the one to suppress it by first.

    Only the visitor number counts, which we gave and sealed: ``_fbp`` and remembered match keys are sealed too, but
    came as claims of a page, and whoever may claim them could speak for others.
    """
    suppressed = (bytes.fromhex(kept.suppression),) if kept.suppression else ()
    return (*suppressed, *number_digests(kept.visitor, policy.people_keys)) if kept.visitor else suppressed


def forget(kept: Keeper, where: identity.Place, facts: Facts, policy: Policy) -> tuple[str, ...]:
    """Return the cookies that end all ids; the words about consent and opt-out stay, with what can lift them."""
    suppression = "".join(one.hex() for one in proven(kept, policy)[:1])
    words = Keeper(consent=kept.consent, opted_out=kept.opted_out, suppression=suppression)
    old_names = policy.keys.names(policy.site.name)[1:]
    ended = (identity.set_cookie(name, "", where, seconds=0, http_only=True) for name in old_names)
    return (*identity.forget_cookies(where), keeper_cookie(words, where, facts, policy), *ended)


def keeper_cookie(keeper: Keeper, where: identity.Place, facts: Facts, policy: Policy, *, sealed: str = "") -> str:
    """Return the cookie that keeps what we know of a browser.

    Args:
        keeper: What we know.
        where: How the proxy stands to the page.
        facts: The request that it answers.
        policy: What the configuration says of its site.
        sealed: The keeper as it was sealed for an earlier answer, where that may be set again.
    """
    site = policy.site.name
    value = sealed or policy.keys.seal(keeper, site, now=facts.now, entropy=facts.entropy)
    return identity.set_cookie(policy.keys.names(site)[0], value, where, seconds=MAX_AGE_S, http_only=True)
