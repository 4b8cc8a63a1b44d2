"""Examines a configuration and the place where it is to run, for ``check`` and the dashboard. Nothing is written."""

from proxy.doctor.examination import Examination, ExaminationOptions, examine, local_findings, report_json
from proxy.doctor.finding import Finding
from proxy.doctor.graph import send_tests
from proxy.doctor.shared_queue import database_findings

__all__ = [
    "Examination",
    "ExaminationOptions",
    "Finding",
    "database_findings",
    "examine",
    "local_findings",
    "report_json",
    "send_tests",
]
