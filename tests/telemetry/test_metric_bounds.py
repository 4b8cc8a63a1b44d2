"""Nothing that strangers send decides how many series there are."""

import orjson
import pytest
from received import Received, ingest

from proxy.config.schema import Site
from proxy.queue.contract import Stats, Stored
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.policy import Policy
from proxy.telemetry.loop_counter import MOST_LABEL_SETS, OTHER
from proxy.telemetry.metrics import Metrics

NOW = 1_764_000_000_000
SITE = Site.model_validate(
    {"name": "shop", "domains": ["shop.example"], "pixel": [{"id": "1", "access_token": "t"}]},
    context={"resolve": str},
)
POLICY = Policy(SITE, VisitorCookieKeys("a secret for tests that is long enough"))


def _series(metrics: Metrics) -> set[str]:
    lines = metrics.render(Stats({}, 0)).decode().splitlines()
    return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#") and "_created" not in line}


def _request(number: int) -> Received:
    """Return what a stranger may send: a page, a host and a hundred events, with texts made from the number.

    Some of the events, and much else, are wrong in some way.
    """
    events = [
        {
            "name": f"Name{number}x{event}",
            "id": f"id-{number}-{event}",
            "at": NOW - event,
            "pixels": ["1", f"{number}{event}"] if event % 2 else ["1"],
            "data": {"value": f"v{number}", "currency": f"c{event}", f"key{number}": "a@b.example"}
            if event < 20
            else {},
        }
        for event in range(100)
    ]
    body = {
        "v": 1, "sent": NOW, "url": f"https://shop.example/page/{number}?x{number}=a@b.example", "events": events,
        "match": {"1": {"em": f"wrong {number}", f"key{number}": "x"}}, "consent": "granted",
    }  # fmt: skip
    return Received(
        now=NOW, entropy=number + 1, peer="93.184.216.34", host=f"t{number}.shop.example", secure=True,
        origin=f"https://p{number}.shop.example", user_agent=f"Browser {number}", body=orjson.dumps(body),
    )  # fmt: skip


@pytest.mark.long
def test_pages_names_and_ids_make_no_series() -> None:
    """After 100,000 names and ids on a thousand pages there are as many series as after the first page."""
    metrics, counts = Metrics(), []
    for number in range(1000):
        decision = ingest(_request(number), POLICY)
        stored = Stored(duplicates=tuple(decision.records[::7]), conflicts=tuple(decision.records[::11]))
        metrics.decision(decision, stored)
        metrics.answered("collect", 0.001)
        counts.append(len(_series(metrics)) if number in {0, 999} else 0)

    assert counts[-1] == counts[0] < 200


def test_words_without_end_make_a_bounded_number_of_series() -> None:
    """If 100,000 words became labels, the number of series would still be bounded, and each word counted."""
    metrics = Metrics()
    for number in range(100_000):
        metrics.fault(f"ValueError in place_{number}")
    shown = [
        line for line in metrics.render(Stats({}, 0)).decode().splitlines() if line.startswith("capi_proxy_faults")
    ]
    figures = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in shown if "_created" not in line}

    assert len(figures) == MOST_LABEL_SETS + 1
    assert sum(figures.values()) == 100_000
    assert figures[f'capi_proxy_faults_total{{place="{OTHER}"}}'] == 100_000 - MOST_LABEL_SETS
