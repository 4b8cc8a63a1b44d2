"""Dead letters: listed, saved as a file, put back, removed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import orjson
from aiohttp import hdrs, web

from proxy.delivery.lane import Lane
from proxy.graph.law import MAX_AGE_MS
from proxy.operator.documents import BadQueryError, json_object, json_response
from proxy.operator.event_json import dead_letter_json
from proxy.operator.queries import dead_filter
from proxy.queue.contract import Archive, QueueError

_EXPORT_PAGE_SIZE = 500


class DeadLetterApi:
    """Answers questions about dead letters, and changes them."""

    def __init__(self, queue: Archive, lanes: Mapping[str, Lane], now: Callable[[], int]) -> None:
        """Take what keeps and what delivers events.

        Args:
            queue: Where dead letters are kept.
            lanes: By pixel id; woken when something is put back.
            now: Server clock in milliseconds.
        """
        self._queue = queue
        self._lanes = lanes
        self._now = now

    def add_to(self, app: web.Application) -> None:
        """Add the routes of this part."""
        app.router.add_get("/api/dead", self._dead)
        app.router.add_get("/api/dead/export", self._export)
        app.router.add_post("/api/dead/replay", self._replay)
        app.router.add_post("/api/dead/discard", self._discard)

    async def _dead(self, request: web.Request) -> web.Response:
        dead = await self._queue.dead_letters(dead_filter(request.query))
        return json_response({"dead": list(map(dead_letter_json, dead))})

    async def _export(self, request: web.Request) -> web.StreamResponse:
        """Send all chosen dead letters, some at a time; the first are read before the answer begins.

        So a queue that cannot be read at all still leads to an error status.
        """
        wanted = replace(dead_filter(request.query), limit=_EXPORT_PAGE_SIZE)
        letters = await self._queue.dead_letters(wanted)
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: "application/x-ndjson",
                hdrs.CONTENT_DISPOSITION: 'attachment; filename="dead-letters.jsonl"',
            }
        )
        await response.prepare(request)
        try:
            while letters:
                await response.write(b"".join(orjson.dumps(dead_letter_json(letter)) + b"\n" for letter in letters))
                letters = await self._queue.dead_letters(replace(wanted, before=letters[-1].id))
        except QueueError as error:
            # A file that ends early has to look broken, and no second answer may be written into the first.
            raise ConnectionError("the queue failed within an answer") from error
        await response.write_eof()
        return response

    async def _replay(self, request: web.Request) -> web.Response:
        ids = await _ids(request)
        replayed = await self._queue.replay(ids, not_before_s=(self._now() - MAX_AGE_MS) // 1000)
        for lane in self._lanes.values():
            lane.wake()
        return json_response({"replayed": replayed, "left": len(ids) - replayed})

    async def _discard(self, request: web.Request) -> web.Response:
        return json_response({"discarded": await self._queue.discard(await _ids(request))})


async def _ids(request: web.Request) -> Sequence[int]:
    ids = (await json_object(request)).get("ids")
    is_list = isinstance(ids, list) and all(type(number) is int and 0 < number < 1 << 62 for number in ids)
    if not isinstance(ids, list) or not is_list:
        raise BadQueryError('ids: accepted: {"ids": [numbers of dead letters]}')
    return ids
