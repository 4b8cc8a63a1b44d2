"""Ledger rows of events that end without being delivered."""

from proxy.graph.error_text import safe_meta_message
from proxy.model.event import DropReason
from proxy.model.ledger import REPEATS_SERVER, LedgerRow, Status
from proxy.model.record import Record
from proxy.model.verdict import Dead

SERVER_COPY_FINDING = "copy:server"
"""The finding of a duplicate that came from a page, while a server's event of the same order is sent in its place. In
the ledger row it becomes the reason, and is not among the findings."""


def dropped_row(record: Record, reason: DropReason, now: int) -> LedgerRow:
    """Return the ledger row of a record that is not sent after all.

    Args:
        record: What is dropped.
        reason: Why.
        now: Server clock in milliseconds.
    """
    return ended_row(record, Status.DROPPED, reason, now)


def duplicate_row(record: Record, now: int) -> LedgerRow:
    """Return the ledger row of a record that repeats what was stored before.

    Args:
        record: The repeat.
        now: Server clock in milliseconds.
    """
    if SERVER_COPY_FINDING not in record.findings:
        return ended_row(record, Status.DUPLICATE, "", now)
    findings = tuple(finding for finding in record.findings if finding != SERVER_COPY_FINDING)
    return ended_row(record._replace(findings=findings), Status.DUPLICATE, REPEATS_SERVER, now)


def dead_row(record: Record, verdict: Dead, now: int, attempts: int) -> LedgerRow:
    """Return the ledger row of a record that becomes a dead letter.

    Args:
        record: What Graph refused.
        verdict: Why.
        now: Server clock in milliseconds.
        attempts: How often it was sent.
    """
    error = verdict.graph_error
    return ended_row(record, Status.DEAD, verdict.reason, now)._replace(
        fbtrace_id=error.fbtrace_id,
        attempts=attempts,
        code=error.code or 0,
        subcode=error.subcode or 0,
        message=safe_meta_message(error),
    )


def ended_row(record: Record, status: Status, reason: str, now: int) -> LedgerRow:
    """Return the ledger row of a record, with what the record says of itself.

    Args:
        record: What ended.
        status: How.
        reason: Why.
        now: Server clock in milliseconds.
    """
    return LedgerRow(
        now,
        record.pixel,
        record.name,
        record.id,
        record.time_s,
        status,
        reason,
        record.browser_copy,
        findings=record.findings,
        visitor=record.visitor,
        action_source=record.action_source,
        arrived=record.arrived,
        facts=record.facts,
    )
