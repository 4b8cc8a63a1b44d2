"""The JSON about alerts: those that stand, the receivers, and what the receivers answered."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from proxy.alerts.alerter import Alerter
from proxy.operator.documents import json_response


class AlertApi:
    """Answers questions about alerts."""

    def __init__(self, alerter: Alerter | None) -> None:
        """Take what sends alerts; None when the configuration has no receiver."""
        self._alerter = alerter

    def add_to(self, app: web.Application) -> None:
        """Add the routes of this part."""
        app.router.add_get("/api/alerts", self._alerts)
        app.router.add_post("/api/alerts/test", self._test)

    async def _alerts(self, _request: web.Request) -> web.Response:
        alerter = self._alerter
        if alerter is None:
            return json_response({"receivers": [], "alerts": [], "sent": []})
        return json_response(
            {
                "receivers": _receivers(alerter),
                "alerts": [
                    {
                        "code": alert.code,
                        "subject": alert.subject,
                        "detail": alert.detail,
                        "since": alert.since,
                        "failing": alert.failing,
                        "fired": alert.fired_at,
                        "gone": alert.gone_at,
                    }
                    for alert in alerter.alerts()
                ],
                "sent": [sent._asdict() for sent in reversed(alerter.sent)],
            }
        )

    async def _test(self, _request: web.Request) -> web.Response:
        answers = await self._alerter.test() if self._alerter else {}
        receivers = [{"name": name, "taken": answer.taken, "answer": answer.text} for name, answer in answers.items()]
        return json_response({"receivers": receivers})


def _receivers(alerter: Alerter) -> list[Mapping[str, Any]]:
    last = {sent.receiver: sent for sent in alerter.sent}
    return [
        {
            "name": post.name,
            "failures": post.failures,
            "next": post.next_at,
            "waiting": alerter.is_waiting(post),
            "last": last[post.name].at if post.name in last else 0,
            "answer": last[post.name].answer if post.name in last else "",
        }
        for post in alerter.posts
    ]
