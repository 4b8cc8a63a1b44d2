"""The hot path, pure: ``BrowserRequest`` of a request → ``Decision``, in parts if it is large.

Nothing here touches a socket, a clock or a disk, so the HTTP front can be exchanged without touching a rule.
"""

from collections.abc import Mapping, Sequence

import orjson

from proxy.model.decision import Decision
from proxy.model.event import BrowserCopy, DropReason
from proxy.model.request import BrowserRequest, Consent, Hit, Refusal, Visit
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
from proxy.rules.request import client_address, sites
from proxy.rules.request.cookies import cookies_of
from proxy.rules.request.sites import cookie_scope_of


def ingest(request: BrowserRequest, policy: Policy, client: client_address.Client | None = None) -> Decision:
    """Judge one request to the collect address at a stretch; see ``ingest_parts``."""
    return whole(ingest_parts(request, policy, client))


def ingest_parts(
    request: BrowserRequest, policy: Policy, client: client_address.Client | None = None
) -> Parts[Decision]:
    """Judge one request to the collect address; nothing raises.

    Args:
        request: The request.
        policy: What the configuration says of its site.
        client: Who asks, where the door has found out already.
    """
    try:
        return (yield from _outcome(wire.visit(request.body), request, policy, client))
    except wire.Malformed as error:
        return Decision(413 if len(request.body) > limits.BODY else 400, problem(str(error)))
    except Exception as error:  # noqa: BLE001 - sent again it would fail again, so the tag is told to give up
        return Decision(400, problem("cannot be read"), faults=(fault(error),))


def ingest_image(request: BrowserRequest, policy: Policy, client: client_address.Client | None = None) -> Decision:
    """Judge one request to the ``<noscript>`` image: a PageView of the page named by the Referer, for every pixel.

    Args:
        request: The request.
        policy: What the configuration says of its site.
        client: Who asks, where the door has found out already.
    """
    pixels = tuple(pixel.id for pixel in policy.site.pixel)
    hit = Hit("PageView", f"{request.entropy:032x}", request.now, pixels, {}, BrowserCopy.PENDING)
    url, findings = wire.address(request.referer, "event_source_url")
    try:
        return whole(
            _outcome(Visit(sent=request.now, url=url, hits=(hit,), findings=findings), request, policy, client)
        )
    except Exception as error:  # noqa: BLE001 - as above
        return Decision(400, problem("cannot be read"), faults=(fault(error),))


def problem(why: str) -> bytes:
    """Return the JSON body of a refusal."""
    return orjson.dumps({"error": why})


def _outcome(
    visit: Visit, request: BrowserRequest, policy: Policy, known: client_address.Client | None
) -> Parts[Decision]:
    visit, request = _bounded(visit, request)
    client = known or client_address.client(
        request.peer, request.forwarded, policy.trusted, header=policy.client_ip_header, pseudo=request.forwarded_pseudo
    )
    context = _context(visit, request, policy, client)
    events = yield from written(context)
    refused = _in_order(visit.refused, events.refused) if visit.refused or events.refused else ()
    status, body = 204, b""
    if refused:
        status, body = _answer(refused, visit.surplus, all_wrong=len(events.refused) == len(visit.hits))
    return Decision(
        status=status,
        body=body,
        cookies=_cookies(context, policy),
        withdrawn=proven(context.kept, policy)[:1] if visit.consent is Consent.REVOKED else (),
        granted=proven(context.kept, policy) if visit.consent is Consent.GRANTED and not context.forbidden else (),
        records=tuple(events.records),
        dropped=tuple(events.dropped),
        refused=len(refused) + visit.surplus,
        unknown_pixels=events.unknown_pixels,
        copy_updates=public_news(visit.copy_updates, context.effort) if visit.copy_updates else (),
        visitors=_visitors(context) if visit.copy_updates else (),
        pixels=tuple([pixel.id for pixel in policy.site.pixel]),
        redactions=tuple(events.redactions),
        misdirected=client.misdirected,
        faults=tuple(events.faults),
    )


def _in_order(unread: Sequence[Refusal], unwritten: Sequence[Refusal]) -> Sequence[Refusal]:
    return sorted([*unread, *unwritten], key=lambda refusal: refusal.index) if unwritten else unread


def _bounded(visit: Visit, request: BrowserRequest) -> tuple[Visit, BrowserRequest]:
    """Cut the headers that are longer than they are read; of a forwarding list a stranger wrote the left end."""
    if len(request.forwarded) > limits.ADDRESS:
        request = request._replace(forwarded=limits.cut_list(request.forwarded))
    if len(request.user_agent) > limits.USER_AGENT:
        request = request._replace(user_agent=request.user_agent[: limits.USER_AGENT])
        visit = visit._replace(findings=(*visit.findings, "client_user_agent:cut"))
    return visit, request


def _context(visit: Visit, request: BrowserRequest, policy: Policy, client: client_address.Client) -> Context:
    site, effort = policy.site, Effort()
    scope, cookies = cookie_scope_of(request, believed=client.believed), cookies_of(request.cookie)
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


def _answer(refused: Sequence[Refusal], surplus: int, *, all_wrong: bool) -> tuple[int, bytes]:
    """Name the refused: with 200 beside others that were taken or knowingly dropped, with 400 when all were refused."""
    named = [{"index": refusal.index, "id": refusal.id, "why": refusal.why} for refusal in refused]
    if all_wrong:
        return 400, orjson.dumps({"error": "every event is wrong", "refused": named[:20]})
    return 200, orjson.dumps({"refused": named, **({"more": surplus} if surplus else {})})
