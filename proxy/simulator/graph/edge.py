"""The events edge of the Graph API: who may send, what is accepted, what is answered."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from proxy.simulator.graph import wire
from proxy.simulator.graph.answers import Answer, ApiError, bad_token, no_object, no_token, success_answer
from proxy.simulator.graph.dedup import Copy
from proxy.simulator.graph.memory import Memory
from proxy.simulator.graph.reading import read
from proxy.simulator.graph.rules import Event, batch_refusal

Extra = Callable[[list[Event]], ApiError | None]


@dataclass(frozen=True, slots=True)
class EventsRequest:
    """A request to the events edge as a value; `query` is not decoded yet."""

    pixel: str
    query: str
    content_type: str
    authorization: str
    body: bytes


@dataclass(frozen=True, slots=True)
class EventsEdge:
    """The events edge.

    Attributes:
        tokens: The access token of each pixel; None admits every pixel with any token.
        app_secrets: The app secret of a pixel, by which an `appsecret_proof` is verified where one is given.
        memory: Takes what was accepted.
        now: Server time, Unix seconds.
    """

    tokens: Mapping[str, str] | None
    app_secrets: Mapping[str, str]
    memory: Memory
    now: Callable[[], float]

    def receive(self, posted: EventsRequest, trace: str, extra: Extra | None = None) -> Answer:
        """Accept all events of a request or none.

        Args:
            posted: The request.
            trace: Becomes the answer's `fbtrace_id`.
            extra: A further reason to refuse the batch, asked last.
        """
        try:
            pairs = wire.parameters(posted.query, posted.content_type, posted.body)
            refusal = self._not_allowed(posted.pixel, pairs, posted.authorization)
            sent = [] if refusal else wire.events(pairs)
        except wire.UnreadableError as error:
            return ApiError(f"(#100) {error}").answer(trace)
        events = [read(event) for event in sent]
        refusal = refusal or batch_refusal(events, self.now()) or (extra and extra(events))
        if refusal:
            return refusal.answer(trace)
        at, fields = int(self.now() * 1000), wire.request_fields(pairs)
        self.memory.add(_copy(at, posted.pixel, *both, fields) for both in zip(sent, events, strict=True))
        return success_answer(len(events), trace)

    def _not_allowed(self, pixel: str, pairs: wire.Pairs, authorization: str) -> ApiError | None:
        token = wire.token(pairs, authorization)
        return self._wrong_pixel(pixel) or self._wrong_token(pixel, token) or self._wrong_proof(pixel, token, pairs)

    def _wrong_pixel(self, pixel: str) -> ApiError | None:
        exists = pixel.isascii() and pixel.isdigit() and (self.tokens is None or pixel in self.tokens)
        return None if exists else no_object(pixel)

    def _wrong_token(self, pixel: str, token: str | None) -> ApiError | None:
        if not token:
            return no_token()
        if self.tokens is None or token == self.tokens[pixel]:
            return None
        # The token of another pixel is valid, but may not see this pixel.
        return no_object(pixel) if token in self.tokens.values() else bad_token("Invalid OAuth access token.")

    def _wrong_proof(self, pixel: str, token: str | None, pairs: wire.Pairs) -> ApiError | None:
        proof, secret = wire.first(pairs, "appsecret_proof"), self.app_secrets.get(pixel)
        if proof is None or secret is None or proof == appsecret_proof(secret, token or ""):
            return None
        return ApiError("Invalid appsecret_proof provided in the API argument", type="GraphMethodException")


def _copy(at: int, pixel: str, sent: Event, event: Event, fields: Mapping[str, str]) -> Copy:
    return Copy(at, "server", pixel, event["event_name"], event.get("event_id") or None, sent, event, fields)


def appsecret_proof(secret: str, token: str) -> str:
    """Return the proof that Meta's SDKs send: HMAC-SHA256 of the token under the app's secret, in lower-case hex."""
    return hmac.new(secret.encode(), token.encode(errors="replace"), hashlib.sha256).hexdigest()


def browser_copy_of(pairs: wire.Pairs, now: float) -> Copy | None:
    """Return what a browser's Pixel reported to `/tr`, or None if it names no pixel or no event.

    Args:
        pairs: The parameters of the address and the body.
        now: Server time, Unix seconds.
    """
    event = wire.flat(pairs)
    pixel, name, identity = (event.get(key, "") for key in ("id", "ev", "eid"))
    return Copy(int(now * 1000), "browser", pixel, name, identity or None, event, event) if pixel and name else None
