"""Ledger rows of events that end without being delivered."""

from proxy.model.event import DropReason
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.verdict import Dead


def dropped_row(record: Record, reason: DropReason, now: int) -> LedgerRow:
    """Return the ledger row of a record that is not sent after all.

    Args:
        record: What is dropped.
        reason: Why.
        now: Server clock in milliseconds.
    """
    identity = (record.pixel, record.name, record.id, record.time_s)
    facts = (now, *identity, Status.DROPPED, reason, record.browser_copy)
    return LedgerRow(*facts, findings=record.findings, visitor=record.visitor, action_source=record.action_source)


def duplicate_row(record: Record, now: int) -> LedgerRow:
    """Return the ledger row of a record that repeats what was stored before.

    Args:
        record: The repeat.
        now: Server clock in milliseconds.
    """
    identity = (record.pixel, record.name, record.id, record.time_s)
    facts = (now, *identity, Status.DUPLICATE, "", record.browser_copy)
    return LedgerRow(*facts, findings=record.findings, visitor=record.visitor, action_source=record.action_source)


def dead_row(record: Record, verdict: Dead, now: int, attempts: int) -> LedgerRow:
    """Return the ledger row of a record that becomes a dead letter.

    Args:
        record: What Graph refused.
        verdict: Why.
        now: Server clock in milliseconds.
        attempts: How often it was sent.
    """
    identity = (record.pixel, record.name, record.id, record.time_s)
    trace = verdict.graph_error.fbtrace_id
    facts = (now, *identity, Status.DEAD, verdict.reason, record.browser_copy, trace, attempts)
    return LedgerRow(*facts, record.findings, record.visitor, record.action_source)
