"""The hot path, pure: ``BrowserRequest`` of a request → ``Decision``, in parts if it is large.

Nothing here touches a socket, a clock or a disk, so the HTTP front can be exchanged without touching a rule.
"""

from collections.abc import Mapping, Sequence

from proxy.model.decision import Decision
from proxy.model.event import BrowserCopy, DropReason
from proxy.model.request import BrowserRequest, Consent, Hit, RefusedEvent, Visit
from proxy.rules import limits, wire
from proxy.rules.effort import Effort, Parts, whole
from proxy.rules.faults import fault
from proxy.rules.identity import browser_ids
from proxy.rules.identity.visitor import forget, next_visitor_cookie, proven, read_visitor_cookie, visitor_cookie_header
from proxy.rules.identity.visitor_cookie import VisitorCookie
from proxy.rules.judge import Context, visitor_of
from proxy.rules.payload.labels import public_news
from proxy.rules.permission import consent
from proxy.rules.permission.bots import bot_reason
from proxy.rules.policy import Policy
from proxy.rules.records import written
from proxy.rules.request import sites
from proxy.rules.request.cookies import cookies_of
from proxy.rules.request.sites import cookie_scope_of


def ingest(request: BrowserRequest, policy: Policy) -> Decision:
    """Judge one request to the collect address at a stretch; see ``ingest_parts``."""
    return whole(ingest_parts(request, policy))


def ingest_parts(request: BrowserRequest, policy: Policy) -> Parts[Decision]:
    """Judge one request to the collect address; nothing raises."""
    try:
        return (yield from _outcome(wire.visit(request.body), request, policy))
    except wire.Malformed as error:
        return Decision(unreadable=str(error), is_too_large=len(request.body) > limits.BODY)
    except Exception as error:  # noqa: BLE001 - sent again it would fail again, so the tag is told to give up
        return Decision(unreadable="cannot be read", faults=(fault(error),))


def ingest_image(request: BrowserRequest, policy: Policy) -> Decision:
    """Judge one request to the ``<noscript>`` image: a PageView of the page named by the Referer, for every pixel."""
    pixels = tuple(pixel.id for pixel in policy.site.pixel)
    hit = Hit("PageView", f"{request.entropy:032x}", request.now, pixels, {}, BrowserCopy.PENDING)
    url, findings = wire.address(request.referer, "event_source_url")
    try:
        return whole(_outcome(Visit(sent=request.now, url=url, hits=(hit,), findings=findings), request, policy))
    except Exception as error:  # noqa: BLE001 - as above
        return Decision(unreadable="cannot be read", faults=(fault(error),))


def _outcome(visit: Visit, request: BrowserRequest, policy: Policy) -> Parts[Decision]:
    visit, request = _bounded(visit, request)
    client = request.client
    context = _context(visit, request, policy)
    events = yield from written(context)
    return Decision(
        refusals=tuple(_in_order(visit.refused, events.refused)),
        surplus=visit.surplus,
        taken=len(visit.hits) - len(events.refused),
        cookies=_cookies(context, policy),
        withdrawn=proven(context.kept, policy)[:1] if visit.consent is Consent.REVOKED else (),
        granted=proven(context.kept, policy) if visit.consent is Consent.GRANTED and not context.forbidden else (),
        records=tuple(events.records),
        dropped=tuple(events.dropped),
        unknown_pixels=events.unknown_pixels,
        copy_updates=public_news(visit.copy_updates, context.effort) if visit.copy_updates else (),
        visitors=_visitors(context) if visit.copy_updates else (),
        pixels=tuple([pixel.id for pixel in policy.site.pixel]),
        redactions=tuple(events.redactions),
        misdirected=client.misdirected,
        faults=tuple(events.faults),
    )


def _in_order(unread: Sequence[RefusedEvent], unwritten: Sequence[RefusedEvent]) -> Sequence[RefusedEvent]:
    return sorted([*unread, *unwritten], key=lambda refusal: refusal.index) if unwritten else unread


def _bounded(visit: Visit, request: BrowserRequest) -> tuple[Visit, BrowserRequest]:
    """Cut a user agent that is longer than it is read."""
    if len(request.user_agent) > limits.USER_AGENT:
        request = request._replace(user_agent=request.user_agent[: limits.USER_AGENT])
        visit = visit._replace(findings=(*visit.findings, "client_user_agent:cut"))
    return visit, request


def _context(visit: Visit, request: BrowserRequest, policy: Policy) -> Context:
    client = request.client
    site, effort = policy.site, Effort()
    scope, cookies = cookie_scope_of(request), cookies_of(request.cookie)
    kept, sealed = read_visitor_cookie(request, scope, cookies, policy)
    ids = _ids(visit, request, scope, cookies, kept)
    gpc = consent.signals_gpc(request.gpc, visit)
    bot = None if site.bots == "ignore" else _bot(visit, request)
    address_sent = client.address if client.public else ""
    return Context(
        site=site,
        request=request,
        visit=visit,
        ids=ids,
        address=address_sent,
        options=consent.options(site, visit, gpc=gpc),
        bot=bot,
        forbidden=consent.forbids(
            *(site, visit, kept),
            gpc=gpc,
            dnt=consent.signals_dnt(request.dnt),
            located=client.public,
            bot=bot is not None,
        ),
        scope=scope,
        effort=effort,
        visitor=visitor_of(visit.fbp or cookies.get("_fbp", ""), address_sent, request.user_agent),
        kept=kept,
        person_keys=policy.person_keys,
        visitor_cookie=next_visitor_cookie(kept, visit, ids, request, policy, effort) if scope.at_home else kept,
        sealed=sealed,
    )


def _visitors(context: Context) -> tuple[bytes, ...]:
    """Return who brings news of browser copies, and who that was before its first answer gave it an id."""
    return tuple(dict.fromkeys((context.visitor, visitor_of("", context.address, context.request.user_agent))))


def _bot(visit: Visit, request: BrowserRequest) -> str | None:
    return bot_reason(request.user_agent, webdriver=visit.webdriver, brands=request.brands, platform=request.platform)


def _ids(
    visit: Visit, request: BrowserRequest, scope: sites.CookieScope, cookies: Mapping[str, str], kept: VisitorCookie
) -> browser_ids.BrowserIds:
    return browser_ids.browser_ids(
        scope=scope,
        cookies=cookies,
        fbp=visit.fbp,
        fbc=visit.fbc,
        url=visit.url,
        referrer=visit.referrer,
        now=request.now,
        entropy=request.entropy,
        kept_fbp=kept.fbp,
        kept_fbc=kept.fbc,
    )


def _cookies(context: Context, policy: Policy) -> tuple[str, ...]:
    """Keep the ids, end them after a withdrawal, and touch nothing for a visit that may not be measured."""
    request, kept, scope = context.request, context.kept, context.scope
    if not scope.at_home:
        return ()
    if context.visit.consent is Consent.REVOKED:
        return forget(kept._replace(consent=Consent.REVOKED), scope, request, policy)
    if context.forbidden:
        # Browsers end any cookie after 400 days; an opt-out shall not end for somebody who comes more often.
        return (
            (visitor_cookie_header(kept, scope, request, policy),) if context.forbidden is DropReason.OPTED_OUT else ()
        )
    sealed = context.sealed if context.visitor_cookie == kept else ""
    return (*context.ids.cookies, visitor_cookie_header(context.visitor_cookie, scope, request, policy, sealed=sealed))
