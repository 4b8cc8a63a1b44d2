"""The doors of a site, and who may pass: a page of the site, or anybody who follows a link or loads the tag."""

from dataclasses import dataclass
from typing import Protocol

from proxy.edge.answers import PREFLIGHT, refusal
from proxy.edge.arrival import AdmittedRequest
from proxy.edge.exchange import HttpAnswer
from proxy.edge.pages import StrangerRefusal
from proxy.rules.request.routes import Door


class Answering(Protocol):
    """The handler behind a door."""

    async def answer(self, admitted: AdmittedRequest, /) -> HttpAnswer:
        """Answer a request that passed the door."""


@dataclass(frozen=True, slots=True)
class _Rule:
    methods: tuple[str, ...]
    """The methods that the door takes."""
    page_header: str = ""
    """The header that proves a page of the site; empty where anybody may pass."""
    links: bool = False
    """Whether anybody may follow a link to it, though only a page may change something."""

    @property
    def preflight(self) -> dict[str, str]:
        """What a browser is told before a page's script may ask (Fetch, CORS protocol)."""
        methods = ", ".join(method for method in self.methods if method != "OPTIONS")
        return PREFLIGHT | {"Access-Control-Allow-Methods": methods}


_RULES = {
    Door.TAG: _Rule(("GET", "HEAD")),
    Door.COLLECT: _Rule(("POST", "OPTIONS"), page_header="origin"),
    Door.IMAGE: _Rule(("GET",), page_header="referer"),
    Door.CHOICE: _Rule(("GET", "POST", "OPTIONS"), page_header="origin", links=True),
}


class Doors:
    """All doors of all sites."""

    def __init__(self, strangers: StrangerRefusal) -> None:
        """Store the check that refuses pages of other sites."""
        self._strangers = strangers

    def answer(self, door: Door, admitted: AdmittedRequest) -> HttpAnswer | None:
        """Return the refusal of a request that may not pass a door, or the answer to a preflight; None lets it pass."""
        rule = _RULES[door]
        method = admitted.arrival.request.method
        if method not in rule.methods:
            return _wrong_method(method, rule.methods)
        if rule.page_header and not admitted.is_ours and not (rule.links and _is_link(admitted)):
            return self._strangers.answer(admitted, rule.page_header)
        return HttpAnswer(204, headers=rule.preflight) if method == "OPTIONS" else None


def _is_link(admitted: AdmittedRequest) -> bool:
    """Tell whether a visitor followed a link: a GET without the Origin that a foreign page's script would send."""
    return admitted.arrival.request.method == "GET" and not admitted.arrival.headers.get("origin", "")


def _wrong_method(method: str, accepted: tuple[str, ...]) -> HttpAnswer:
    answer = refusal(405, f"method: {method[:20]}; accepted: {', '.join(accepted)}")
    answer.headers["Allow"] = ", ".join(accepted)
    return answer
