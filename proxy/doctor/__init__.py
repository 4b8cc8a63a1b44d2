"""What ``check`` and the dashboard's doctor look at: where a configuration is to run. Nothing is written anywhere."""

from proxy.doctor.examination import Examination, Examining, examine, local_findings, report_json
from proxy.doctor.finding import Finding
from proxy.doctor.graph import send_tests
from proxy.doctor.shared_queue import database_findings

__all__ = [
    "Examination",
    "Examining",
    "Finding",
    "database_findings",
    "examine",
    "local_findings",
    "report_json",
    "send_tests",
]
