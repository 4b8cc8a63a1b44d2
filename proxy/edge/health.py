"""``/healthz`` of the public listener: whether the proxy accepts events, for a balancer in front of it."""

from aiohttp import web

from proxy.queue.contract import Intake


class HealthDoor:
    """Answers anybody, below no prefix."""

    def __init__(self, queue: Intake) -> None:
        self._queue = queue
        self.accepting = True
        """False once the proxy is about to end."""

    async def answer(self, _request: web.Request) -> web.Response:
        """Answer 200 while events are accepted, else 503 with the reason."""
        why = self._queue.refuses() if self.accepting else "ending"
        return web.Response(status=503, text=f"not accepting: {why}\n") if why else web.Response(text="ok\n")
