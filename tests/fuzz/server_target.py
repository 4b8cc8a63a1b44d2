"""The servers' endpoint without its socket: what the rules make of bodies, and of damaged ones."""

import json
from pathlib import Path
from typing import NamedTuple

from maker import NOW, Choices
from target import POLICIES

from proxy.model.decision import ServerDecision
from proxy.model.server_request import ServerBody
from proxy.rules import tables
from proxy.rules.effort import run_parts
from proxy.rules.server import ingest_claim
from proxy.rules.server_wire.claim import claim_of

GOLDEN = Path(__file__).parent.parent / "golden" / "server"
_TYPES = ("application/json", "application/x-www-form-urlencoded", "text/plain", "", "multipart/form-data; boundary=7")
# What parsers may stumble over, inserted anywhere.
_ODD = (
    *(
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b'"',
        b"\\",
        b"\\ud83d",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"%",
        b"%2",
        b"&",
    ),
    *(b"data=", b"data[]=", b"data[0][a]=", b"null", b"NaN", b"1e999", b"-0", b"9" * 400, b"1" * 19, b"\r\n", b"--"),
    *(b"[" * 1200, b'{"a":' * 40, b'"' * 9, b"\xe2\x80\xae", b"+", b"=", b"\xef\xbb\xbf", b"true", b"0.1e-320"),
)


class ServerDoor:
    """The rules' policies of several sites, for servers' bodies."""

    def __init__(self) -> None:
        tables.prepare()

    def answer(self, body: ServerBody, site: int = 0, *, is_graph: bool = False) -> ServerDecision:
        """Judge a body as the endpoints do."""
        policy = POLICIES[site % len(POLICIES)]
        pixel = policy.pixel_ids[0]
        return run_parts(ingest_claim(claim_of(body), policy, pixel=pixel, now=NOW, is_all_or_nothing=is_graph))


class Damaged(NamedTuple):
    """A damaged body, and the site and endpoint that get it."""

    body: ServerBody
    site: int
    is_graph: bool


def golden_bodies() -> list[ServerBody]:
    """Return the bodies of the golden files."""
    told = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(GOLDEN.glob("*.request.json"))]
    return [ServerBody(each["body"].encode(), each.get("content_type", ""), each.get("query", "")) for each in told]


def damaged(bodies: list[ServerBody], choices: Choices) -> Damaged:
    """Return a client's body that was cut, doubled, mixed with odd bytes, or given another content type."""
    body = bodies[choices.below(len(bodies))]
    content = body.content
    for _ in range(1 + choices.below(4)):
        at, until = sorted(choices.below(len(content) + 1) for _ in range(2))
        odd = _ODD[choices.below(len(_ODD))]
        what = choices.below(6)
        if what < 4:
            content = content[:at] + odd + content[at + choices.below(4) :]
        elif what == 4:
            content = content[:at] + content[until:]
        else:
            content = content[:until] + content[at:]
    kind = _TYPES[choices.below(len(_TYPES))] if choices.below(8) == 0 else body.content_type
    return Damaged(ServerBody(content, kind, body.query), choices.below(4), is_graph=choices.below(2) == 0)
