"""``/healthz`` of the public listener: whether the proxy accepts events, for a balancer in front of it."""

from proxy.edge.exchange import HttpAnswer, HttpRequest
from proxy.queue.contract import Intake

_PATH = "/healthz"
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class HealthDoor:
    """Answers any client, at a path that belongs to no site."""

    def __init__(self, queue: Intake) -> None:
        self._queue = queue
        self.accepting = True
        """False once the proxy is about to end."""

    def leads_to(self, request: HttpRequest) -> bool:
        """Tell whether a request asks for this resource."""
        return request.path == _PATH and request.method in {"GET", "HEAD"}

    def answer(self) -> HttpAnswer:
        """Answer 200 while events are accepted, else 503 with the reason."""
        why = self._queue.refusal_reason() if self.accepting else "ending"
        return HttpAnswer(503 if why else 200, f"not accepting: {why}\n".encode() if why else b"ok\n", dict(_TEXT))
