"""The image door: a visit without scripts, which is answered with a picture once its PageView is durable."""

from collections.abc import Mapping

from proxy.edge.answers import GIF, refusal
from proxy.edge.arrival import AdmittedRequest
from proxy.edge.collect import RequestReader
from proxy.edge.exchange import HttpAnswer
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

    async def answer(self, admitted: AdmittedRequest) -> HttpAnswer:
        """Answer with the image, also when the PageView is dropped; refuse what cannot be read or cannot be stored."""
        request = await self._reader.read(admitted)
        decision = ingest_image(request, self._policies[admitted.site.name])
        image = HttpAnswer(200, GIF, {"Content-Type": "image/gif"})
        content = refusal(400, "cannot be read") if decision.faults else image
        return await self._store.store_and_answer(admitted.network, decision, content, at=request.now)
