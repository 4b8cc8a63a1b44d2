"""The public listener's routing: from a request to its door, by way of admission. No rule lives here."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.config.schema import LimitSettings, Site
from proxy.edge.admission import Admission
from proxy.edge.answers import add_cors_headers, refusal
from proxy.edge.arrival import AdmittedRequest, Arrival
from proxy.edge.collect import CollectDoor, RequestReader
from proxy.edge.doors import Answering, Doors
from proxy.edge.exchange import BodyLostError, BodyTooLargeError, BodyTooSlowError, HttpAnswer, HttpRequest
from proxy.edge.foreign import ForeignNames
from proxy.edge.gpc import GpcDoor
from proxy.edge.health import HealthDoor
from proxy.edge.image import ImageDoor
from proxy.edge.install_check import InstallCheckDoor
from proxy.edge.opt_out import OptOutDoor
from proxy.edge.pages import StrangerRefusal, is_page_of
from proxy.edge.probe import ProbeDoor
from proxy.edge.reused_ids import ReusedIds
from proxy.edge.server.body import BodyRoom, ServerBodyReader
from proxy.edge.server.door import ServerEventDoor
from proxy.edge.server.hooks import HookDoor, configured_hooks
from proxy.edge.server.keys import KeyRing, WrongKeys
from proxy.edge.storage_notifier import StorageNotifier
from proxy.edge.storing import DecisionStore
from proxy.edge.tag.door import TagDoor
from proxy.edge.turns import Turns
from proxy.edge.under_way import UnderWay
from proxy.queue.contract import Intake
from proxy.rules.fairness import client_network
from proxy.rules.limits import BODY
from proxy.rules.permission.install_check import InstallChecks
from proxy.rules.policy import Policy
from proxy.rules.request.client_address import Networks
from proxy.rules.request.routes import Door, Entrance, Routes
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics

_NO_DOOR = "none"


@dataclass(frozen=True, slots=True)
class PublicConfig:
    """What the listener needs of the configuration."""

    routes: Routes
    policies: Mapping[str, Policy]
    """By site name."""
    sites: Sequence[Site]
    trusted: Networks
    client_ip_header: str
    """The name of the header that carries the visitor's address."""
    checks: InstallChecks
    """Recognise the owner's browser while it checks the installation."""


class PublicRouter:
    """Answers every request to the public listener."""

    def __init__(  # noqa: PLR0913 - what its doors need
        self,
        entry: PublicConfig,
        limits: LimitSettings,
        *,
        probe: ProbeDoor,
        queue: Intake,
        metrics: Metrics,
        conditions: Conditions,
        wakes: Mapping[str, Callable[[], None]],
        now: Callable[[], int],
        clock_ns: Callable[[], int],
        random_numbers: Iterator[int],
        gives_way: bool = True,
    ) -> None:
        """Open the doors of all sites; call it within the event loop.

        Args:
            entry: The sites, and whose forwarding headers are believed.
            limits: What one client may take.
            probe: Tells the doctor what the proxy sees of a request.
            queue: Makes events, opt-outs and withdrawals durable.
            metrics: Counts requests and what became of events.
            conditions: Is told what the owner should look at.
            wakes: By pixel, the function that tells its lane that there is something to deliver.
            now: The server's clock in milliseconds.
            clock_ns: The same in nanoseconds.
            random_numbers: Yields unpredictable integers of 128 random bits.
            gives_way: Whether the queue's writer thread is in this process, so that the event loop must yield to it.
        """
        self._entry, self._client_header = entry, entry.client_ip_header.lower()
        self._admission = admission = Admission(
            limits, fullness=queue.fullness, clock=time.monotonic, conditions=conditions, metrics=metrics
        )
        self._metrics = metrics
        self._turns = Turns(gives_way=gives_way)
        self._foreign = ForeignNames(conditions, now, metrics.tallies)
        self._faults = FaultReporter(conditions, metrics)
        self._under_way = UnderWay()
        self._health, self._gpc, self._probe = HealthDoor(queue), GpcDoor(entry.sites), probe
        self._install_check = InstallCheckDoor(entry.checks, entry.routes, now)
        reader = RequestReader(self._turns, clock_ns=clock_ns, random_numbers=random_numbers)
        notifier = StorageNotifier(
            queue, metrics=metrics, conditions=conditions, reused_ids=ReusedIds(conditions), wakes=wakes
        )
        store = DecisionStore(
            queue,
            admission=admission,
            notifier=notifier,
            metrics=metrics,
            conditions=conditions,
        )
        self._behind: dict[Door, Answering] = {
            Door.TAG: TagDoor(entry.sites, self._turns, checks=entry.checks, tallies=metrics.tallies, now=now),
            Door.COLLECT: CollectDoor(
                entry.policies, reader=reader, turns=self._turns, store=store, checks=entry.checks
            ),
            Door.IMAGE: ImageDoor(entry.policies, reader=reader, store=store),
            Door.CHOICE: OptOutDoor(entry.policies, reader=reader, queue=queue, metrics=metrics),
        }
        self._servers = ServerEventDoor(
            entry.policies,
            keys=KeyRing(entry.sites),
            wrong_keys=WrongKeys(time.monotonic),
            admission=admission,
            reader=ServerBodyReader(self._turns, BodyRoom()),
            turns=self._turns,
            store=store,
            faults=self._faults,
            hooks=HookDoor(
                configured_hooks(entry.policies),
                queue=queue,
                turns=self._turns,
                store=store,
                metrics=metrics,
                clock_ns=clock_ns,
            ),
            clock_ns=clock_ns,
            random_numbers=random_numbers,
        )
        self._doors = Doors(StrangerRefusal(self._foreign))

    def stop_accepting(self) -> None:
        """Say at ``/healthz`` that the proxy is about to end; requests are answered until then."""
        self._health.accepting = False

    async def drain(self, seconds: float) -> None:
        """Wait until no request is under way, at most ``seconds``."""
        await self._under_way.drain(seconds)

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        """Answer a request; its body is read when everything else about it is accepted.

        Raises:
            BodyLostError: when the client hung up, or sent no body that can be read.
        """
        if self._health.leads_to(request):
            return self._health.answer()
        started = time.perf_counter()
        with self._under_way:
            arrival = Arrival(request, self._entry.trusted, self._client_header)
            if self._probe.leads_to(request) and (told := await self._probe.answer(arrival, self._client_header)):
                return told
            entrance = self._entrance(arrival)
            if entrance is None and (place := self._entry.routes.server_path(arrival.request.path)):
                answer = await self._servers.answer(arrival, place)
                return self._counted(place.door, answer, started)
            answer = await self._answer_or_refuse(arrival, entrance)
        return self._counted(entrance.door if entrance else _NO_DOOR, answer, started)

    def _counted(self, endpoint: str, answer: HttpAnswer, started: float) -> HttpAnswer:
        self._metrics.request(endpoint, answer.status)
        self._metrics.answered(endpoint, time.perf_counter() - started)
        return answer

    def _entrance(self, arrival: Arrival) -> Entrance | None:
        """Return a request's site and door. The tag's door is found by Host alone, as caches store it by Host."""
        routes, path = self._entry.routes, arrival.request.path
        entrance = routes.find(arrival.host, path)
        if entrance is None or entrance.door is Door.TAG:
            return routes.find(arrival.headers.get("host", ""), path)
        return entrance

    async def _answer_or_refuse(self, arrival: Arrival, entrance: Entrance | None) -> HttpAnswer:
        """Answer a request, or refuse it before its body is read; CORS headers let a page of the site read both."""
        network = client_network(arrival.client.address)
        is_ours = entrance is not None and is_page_of(entrance.site, arrival)
        refused = self._admission.refusal(network, min(arrival.request.size, BODY))
        if refused:
            await self._turns.wait_for_turn(network)
            answer = refusal(refused.status, refused.why, retry_seconds=refused.retry_seconds)
        elif entrance is None:
            answer = self._without_door(arrival)
        else:
            answer = await self._admitted(entrance.door, AdmittedRequest(arrival, entrance.site, network, is_ours))
        origin = arrival.headers.get("origin", "")
        if origin and is_ours and entrance and entrance.door is not Door.TAG:
            add_cors_headers(answer, origin)
        return answer

    def _without_door(self, arrival: Arrival) -> HttpAnswer:
        request, host = arrival.request, arrival.headers.get("host", "")
        if self._gpc.leads_to(request):
            return self._gpc.answer(host) or refusal(404, "nothing here")
        if answer := self._install_check.answer(arrival):
            return answer
        if self._entry.routes.knows(request.path):
            self._foreign.note_host(host)
        return refusal(404, "nothing here")

    async def _admitted(self, door: Door, admitted: AdmittedRequest) -> HttpAnswer:
        """Answer at a door while the request counts against its client's share."""
        network, size = admitted.network, min(admitted.arrival.request.size, BODY)
        self._admission.enter(network, size)
        try:
            return self._doors.answer(door, admitted) or await self._behind[door].answer(admitted)
        except BodyTooLargeError:
            return refusal(413, f"body: too large; accepted: {BODY} bytes")
        except BodyTooSlowError:
            return refusal(408, "body: it came too slowly")
        except (OSError, BodyLostError):
            raise  # handled by the server
        except Exception as error:  # noqa: BLE001 - the same request would fail again, so no page shall repeat it
            self._faults.report(error, lost="requests are refused")
            return refusal(400, "cannot be read")
        finally:
            self._admission.leave(network, size)
