"""The unit of all ratios: aiohttp that answers 204 and leaves the body unread; with ``--parse`` it reads it as JSON."""

import asyncio
import sys

import orjson
import uvloop
from aiohttp import web


async def unread(_request: web.Request) -> web.Response:
    """Answer 204 without reading the body."""
    return web.Response(status=204)


async def parsed(request: web.Request) -> web.Response:
    """Read the body as JSON and answer 204."""
    orjson.loads(await request.read())
    return web.Response(status=204)


async def serve(port: int, *, parse: bool) -> None:
    """Serve until the process is ended."""
    app = web.Application()
    app.router.add_post("/bench/e", parsed if parse else unread)
    runner = web.AppRunner(app, access_log=None, handle_signals=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    *flags, number = sys.argv[1:]
    uvloop.run(serve(int(number), parse="--parse" in flags))
