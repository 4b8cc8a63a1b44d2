"""The image door: a visit without scripts, which is answered with a picture once its PageView is durable."""

from collections.abc import Mapping

from aiohttp import web

from proxy.edge.answers import GIF, refusal
from proxy.edge.reading import AdmittedRequest, RequestReader
from proxy.edge.storing import DecisionStore
from proxy.rules.browser import ingest_image
from proxy.rules.policy import Policy


class ImageDoor:
    """Answers ``<noscript>`` images of pages of the sites."""

    def __init__(self, policies: Mapping[str, Policy], *, reader: RequestReader, store: DecisionStore) -> None:
        """Open the door.

        Args:
            policies: By the name of the site.
            reader: Reads requests.
            store: Makes decisions durable.
        """
        self._policies = policies
        self._reader = reader
        self._store = store

    async def answer(self, admitted: AdmittedRequest) -> web.Response:
        """Answer with the image, whatever becomes of the PageView; only what cannot be read is refused."""
        request = await self._reader.read(admitted)
        decision = ingest_image(request, self._policies[admitted.site.name])
        image = web.Response(body=GIF, content_type="image/gif")
        content = refusal(400, "cannot be read") if decision.faults else image
        return await self._store.answered(admitted.network, decision, content, at=request.now)
