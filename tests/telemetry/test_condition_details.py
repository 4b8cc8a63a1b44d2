"""The details of conditions: figures in plain words."""

from datetime import date

import pytest

from proxy.model import condition_details as details

CLAUSES = [
    (details.clock_differs(61.4), "this machine's clock is 61 s ahead of Meta's"),
    (details.clock_differs(-90.0), "this machine's clock is 90 s behind Meta's"),
    (details.oldest_arrived(16 * 60_000 + 59_999), "the oldest arrived 16 min ago"),
    (details.events_wait(1), "1 event waits"),
    (details.events_wait(2), "2 events wait"),
    (details.graph_failed("timeout", ""), "timeout"),
    (details.graph_failed("token", "code 190"), "token; Meta says: code 190"),
    (details.token_ends(-1), "the access token has ended"),
    (details.token_ends(0), "the access token ends within a day"),
    (details.token_ends(1), "the access token ends in 1 day"),
    (details.token_ends(9), "the access token ends in 9 days"),
    (details.ends_on(date(2026, 11, 2), 0), "it ends on 2026-11-02, today"),
    (details.ends_on(date(2026, 11, 2), 30), "it ends on 2026-11-02, in 30 days"),
    (details.wrong_passwords(1), "a wrong password was given"),
    (
        details.unknown_host(1),
        "a request was refused: no site.domains lists this host, or the Host header is not passed on",
    ),
    (
        details.insecure_origin(2, "shop"),
        "2 requests were refused, as pages of site shop came by http and their events by https",
    ),
    (details.fronts_connected(0, 2), "0 of 2 front processes are connected (server.workers)"),
    (details.fronts_connected(1, 2), "1 of 2 front processes is connected (server.workers)"),
    (
        details.few_descriptors(1024, 900, 4096),
        "1024 files may be open (ulimit -n), so 900 connections instead of 4096 (limits.connections)",
    ),
]


@pytest.mark.parametrize(("clause", "expected"), CLAUSES, ids=[clause for clause, _ in CLAUSES])
def test_figures_stand_in_clauses(clause: str, expected: str) -> None:
    """Clocks are ahead or behind, singular and plural are right, and a missing error is not mentioned."""
    assert clause == expected
