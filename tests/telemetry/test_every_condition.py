"""This table names for each condition a test that causes it, and a test that comes close without causing it."""

import ast
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from proxy.model.condition import ConditionCode

TESTS = Path(__file__).resolve().parent.parent
SOUND = "telemetry/test_sound_proxy.py::test_a_sound_proxy_has_no_condition"
HEALTH, WATCH, ADMISSION = "delivery/test_delivery_health.py::", "watch/test_watch.py::", "edge/test_admission.py::"
# By code: a test that causes the condition, and a test that does not.
PROOFS: dict[ConditionCode, tuple[str, str]] = {
    "queue": ("telemetry/test_faults.py::test_a_queue_that_cannot_be_written_fails_readiness_until_it_can", SOUND),
    "queue_filling": (f"{WATCH}test_a_queue_that_fills_begins_and_ends", f"{WATCH}test_a_sound_proxy_is_silent"),
    "disk_short": (f"{WATCH}test_a_disk_that_fills_begins_and_ends", f"{WATCH}test_a_sound_proxy_is_silent"),
    "database": (
        "postgres/test_shared_proxy.py::test_what_is_acknowledged_while_the_database_is_away_is_delivered_later",
        "postgres/test_shared_proxy.py::test_what_is_acknowledged_while_the_database_is_away_is_delivered_later",
    ),
    "housekeeping": ("faults/test_housekeeping.py::test_a_harmless_fault_of_housekeeping_is_survived_and_told", SOUND),
    "ledger_incomplete": ("queue/test_notes.py::test_notes_beyond_the_bound_are_counted_and_told_once", SOUND),
    "order_id_conflict": (
        "edge/test_forgeries.py::test_a_forged_order_holds_up_no_real_one_and_is_told",
        "edge/test_forgeries.py::test_the_same_order_from_a_second_browser_is_no_conflict",
    ),
    "pixel_paused": (f"{HEALTH}test_metas_words_about_a_token_stand_in_status_and_once_in_the_log", SOUND),
    "pixel_stopped": ("telemetry/test_sound_proxy.py::test_a_pixel_that_the_owner_stopped_is_told", SOUND),
    "delivery_late": (
        f"{HEALTH}test_readiness_fails_by_the_age_of_the_oldest_waiting_event",
        f"{HEALTH}test_held_events_are_shown_apart_and_fail_nothing",
    ),
    "graph_errors": (
        f"{HEALTH}test_health_is_not_green_while_graph_answers_errors",
        f"{HEALTH}test_health_is_not_green_while_graph_answers_errors",
    ),
    "suspects_late": (f"{HEALTH}test_suspects_that_wait_do_not_fail_readiness", SOUND),
    "pixel_not_configured": (f"{HEALTH}test_events_of_a_pixel_that_is_not_configured_are_told", SOUND),
    "dead_letters": (f"{WATCH}test_dead_letters_begin_and_end", f"{WATCH}test_dead_letters_begin_and_end"),
    "token_expiring": (
        "telemetry/test_sound_proxy.py::test_a_token_that_ends_soon_is_told",
        "telemetry/test_sound_proxy.py::test_a_token_that_ends_soon_is_told",
    ),
    "graph_version": (
        f"{WATCH}test_the_end_of_a_version_is_told",
        "watch/test_signs.py::test_the_end_of_a_version_is_told_90_days_before",
    ),
    "clock": (
        "telemetry/test_sound_proxy.py::test_a_clock_that_differs_from_metas_is_told",
        "telemetry/test_sound_proxy.py::test_a_clock_that_differs_from_metas_is_told",
    ),
    "untrusted_forwarding": (
        "operator/test_operator_api.py::test_readiness_tells_of_an_untrusted_forwarding_header",
        SOUND,
    ),
    "proxy_protocol": (
        "edge/test_proxy_protocol.py::test_a_malformed_header_closes_the_connection",
        "edge/test_proxy_protocol.py::test_a_health_check_that_resets_is_nothing_to_tell",
    ),
    "foreign_origin": (
        "edge/test_foreign.py::test_a_page_of_a_missing_domain_is_named",
        "edge/test_foreign.py::test_a_single_stranger_is_no_condition",
    ),
    "insecure_origin": (
        "telemetry/test_sound_proxy.py::test_pages_of_the_site_that_came_by_http_are_named",
        SOUND,
    ),
    "unknown_host": ("edge/test_foreign.py::test_a_host_that_no_site_lists_is_named", SOUND),
    "connections_full": ("edge/test_connections.py::test_a_full_house_makes_room", SOUND),
    "address_full": (
        "edge/test_connections.py::test_one_address_cannot_hold_all_connections",
        "edge/test_connections.py::test_a_carrier_may_bring_new_visitors_as_fast_as_they_are_answered",
    ),
    "limited": (
        f"{ADMISSION}test_beyond_its_rate_an_address_is_told_to_come_again",
        f"{ADMISSION}test_health_is_asked_without_limit",
    ),
    "descriptors": ("faults/test_descriptors.py::test_the_limit_is_raised_as_far_as_it_may", SOUND),
    "silence": (
        "watch/test_signs.py::test_silence_is_told_by_time_of_day_and_week",
        "watch/test_signs.py::test_there_is_no_false_alarm_in_a_month",
    ),
    "tag_not_seen": (
        f"{WATCH}test_a_tag_that_is_not_seen_is_told_after_an_hour",
        f"{WATCH}test_a_tag_that_is_not_seen_is_told_after_an_hour",
    ),
    "pair_rate_fell": (
        f"{WATCH}test_a_fall_of_the_pair_rate_begins_and_ends",
        "watch/test_signs.py::test_a_fall_of_the_pair_rate_is_told",
    ),
    "id_reused": (
        "telemetry/test_sound_proxy.py::test_a_page_that_is_cached_with_its_ids_is_told",
        "edge/test_reused_ids.py::test_it_takes_twenty_and_one_in_fifty",
    ),
    "operator_password": (
        "operator/test_password.py::test_wrong_passwords_are_told_once",
        "operator/test_password.py::test_asking_without_a_password_is_no_guess",
    ),
    "workers": (
        "workers/test_reports.py::test_a_missing_front_is_told_until_it_is_here",
        "workers/test_reports.py::test_a_missing_front_is_told_until_it_is_here",
    ),
    "alert_not_sent": (
        "alerts/test_alerter.py::test_a_receiver_that_was_away_hears_what_stands_and_what_is_over",
        "alerts/test_alerter.py::test_a_condition_is_told_once_and_cleared_once",
    ),
    "fault": ("telemetry/test_faults.py::test_an_error_of_the_event_loop_is_reported_by_its_place", SOUND),
}


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse((TESTS / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("code", get_args(ConditionCode))
def test_each_condition_is_provoked_and_silent(code: ConditionCode) -> None:
    """Both tests are named in the table, and exist."""
    for proof in PROOFS[code]:
        path, _, name = proof.partition("::")
        assert name in names_in(path), proof


def test_no_condition_is_proved_that_is_gone() -> None:
    """The table has no code that the program does not have."""
    assert set(PROOFS) == set(get_args(ConditionCode))
