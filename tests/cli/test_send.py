"""The command ``send``: what it prints, what arrives, and what remains after a kill."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from commands_here import invoke_beside
from gateway import KEY, Gateway
from machine import ROOT
from polling import until
from servers import served

PIXEL = "1234567890"
LEAD: dict[str, Any] = {
    "event_name": "Lead",
    "action_source": "website",
    "user_data": {"em": "rose@plants.example"},
}


class Shop:
    """A directory with a configuration, and files to send."""

    def __init__(self, directory: Path, url: str, gateway: Gateway) -> None:
        self.directory = directory
        self.url = url
        self.gateway = gateway
        self.file = directory / "events.jsonl"
        self.progress = directory / f"events.jsonl.{PIXEL}.progress"
        self.configure()

    def configure(self, keys: str = f'["{KEY}"]', more: str = "") -> None:
        """Write the configuration."""
        (self.directory / "config.toml").write_text(
            f'[[site]]\nname = "shop"\ndomains = ["shop.example"]\naccess_keys = {keys}\n'
            f'[[site.pixel]]\nid = "{PIXEL}"\naccess_token = "env:NOT_SET_HERE"\n{more}'
        )

    def write(self, *events: dict[str, Any], name: str = "events.jsonl", mode: str = "wb") -> None:
        """Write events as lines."""
        with (self.directory / name).open(mode) as file:
            file.writelines(orjson.dumps(event) + b"\n" for event in events)

    def words(self, *arguments: str) -> tuple[str, ...]:
        """Return the command with the options that it needs."""
        config = str(self.directory / "config.toml")
        return ("send", "--config", config, "--url", self.url, *(arguments or [str(self.file)]))

    async def start(self) -> asyncio.subprocess.Process:
        """Start the command as a process, which can be killed."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy", *self.words()),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def send(self, *arguments: str) -> tuple[int, str]:
        """Run the command to its end; return its exit code and what it printed."""
        done = await invoke_beside(*self.words(*arguments))
        return done.exit_code, done.stdout + done.stderr


def lead(number: int, seconds: int = 0, **more: Any) -> dict[str, Any]:
    """Return an event of an hour ago and some seconds more."""
    return {**LEAD, "event_time": int(time.time()) - 3600 - seconds, "event_id": f"e-{number}", **more}


@pytest.fixture(name="shop")
async def _shop(tmp_path: Path) -> AsyncIterator[Shop]:
    gateway = Gateway()
    async with served(gateway.app()) as url:
        yield Shop(tmp_path, url, gateway)


async def test_a_file_arrives_once(shop: Shop) -> None:
    """Every event arrives, in requests of at most 1,000; later runs find nothing left to send."""
    shop.write(*map(lead, range(2500)))

    first = await shop.send()
    second = await shop.send()
    third = await shop.send()

    assert [first[0], second[0], third[0]] == [0, 0, 0], first[1] + second[1]
    assert shop.gateway.ids == {f"e-{number}": 1 for number in range(2500)}
    assert shop.gateway.sizes == [1000, 1000, 500]
    assert "2500 events can be sent" in first[1]
    assert "2500 sent, 0 refused" in first[1]
    assert "event/s" in first[1]
    assert "0 events can be sent" in second[1]
    assert second[1].splitlines()[:2] == third[1].splitlines()[:2]
    assert b"rose" not in shop.progress.read_bytes()
    assert KEY.encode() not in shop.progress.read_bytes()


async def test_a_dry_run_only_says(shop: Shop) -> None:
    """A dry run sends nothing; it reports events that are too old or refused, for which the exit code is 1."""
    till = {"action_source": "physical_store"}
    shop.write(lead(0), lead(1, 8 * 86_400), lead(2, 8 * 86_400, **till), lead(3, event_name=""), lead(4, user_data={}))

    code, text = await shop.send("--dry-run", str(shop.file))

    assert code == 1
    assert "2 events can be sent" in text
    assert "older than 7 days, which is the most that Meta takes for website: 1 (line 2)" in text
    assert "event_name is missing: 1 (line 4)" in text
    assert (shop.gateway.sizes, shop.progress.exists()) == ([], False)
    assert "rose" not in text


async def test_good_events_are_sent_beside_bad_ones(shop: Shop) -> None:
    """Events that the file or the proxy rejects are named by line, all others are sent, and the exit code is 1."""
    shop.gateway.refuse = lambda event: "too broad" if event["event_id"] == "e-2" else ""
    shop.write(lead(0), lead(1, event_name=""), lead(2), lead(3))

    code, text = await shop.send()

    assert (code, set(shop.gateway.ids)) == (1, {"e-0", "e-3"})
    assert "line 3: too broad" in text
    assert "2 sent, 1 refused" in text


async def test_a_file_that_grew_is_continued(shop: Shop) -> None:
    """Lines that were appended to the file are sent, and no earlier line again."""
    shop.write(*map(lead, range(3)))
    await shop.send()
    shop.write(*map(lead, range(3, 5)), mode="ab")

    code, text = await shop.send()

    assert (code, shop.gateway.sizes) == (0, [3, 2])
    assert "3 events were sent by earlier runs" in text
    assert set(shop.gateway.ids.values()) == {1}


async def test_a_file_that_was_edited_is_not_continued(shop: Shop) -> None:
    """A file whose sent part was changed is sent only with an option, and so is a file with other options."""
    shop.write(*map(lead, range(3)))
    await shop.send()
    shop.write(lead(7), *map(lead, range(1, 5)))

    edited = await shop.send()
    other = await shop.send("--name", "Contact", str(shop.file))
    again = await shop.send("--restart", str(shop.file))

    assert [edited[0], other[0], again[0]] == [1, 1, 0]
    assert "was changed since" in edited[1]
    assert "other options" in other[1]
    assert shop.gateway.sizes == [3, 5]


async def test_a_restart_that_sends_nothing(shop: Shop) -> None:
    """--restart forgets earlier runs only when it begins to send."""
    shop.write(lead(0))
    await shop.send()
    sent = shop.file.read_bytes()
    shop.file.write_text("[\n")

    code, text = await shop.send("--restart", str(shop.file))
    shop.file.write_bytes(sent)
    again = await shop.send()

    assert (code, "JSON document" in text) == (2, True)
    assert (again[0], shop.gateway.ids) == (0, {"e-0": 1})


async def test_a_last_line_that_was_mended(shop: Shop) -> None:
    """If the last line was refused and then corrected, the change is noticed like any other."""
    first = lead(0)
    shop.write(first, lead(1, event_name=""))
    await shop.send()
    shop.write(first, lead(1))

    mended = await shop.send()
    again = await shop.send("--restart", str(shop.file))

    assert (mended[0], "was changed since" in mended[1]) == (1, True)
    assert (again[0], set(shop.gateway.ids)) == (0, {"e-0", "e-1"})


async def test_a_last_line_without_an_end(shop: Shop) -> None:
    """If the last line had no line end and the file grows, that line is not sent again."""
    shop.file.write_bytes(orjson.dumps(lead(0)))
    await shop.send()
    shop.file.write_bytes(shop.file.read_bytes() + b"\r\n" + orjson.dumps(lead(1)))

    code, text = await shop.send()

    assert (code, shop.gateway.ids) == (0, {"e-0": 1, "e-1": 1}), text


async def test_what_a_killed_run_leaves(shop: Shop) -> None:
    """After a kill at any moment and a new start all events arrive, and only those of an unanswered request twice."""
    number = 20_000
    shop.gateway.delay = 0.02
    bare = {name: value for name, value in lead(0).items() if name != "event_id"}
    shop.write(*({**bare, "custom_data": {"n": at // 2}} for at in range(number)))
    chance = random.SystemRandom()

    for _ in range(5):
        process = await shop.start()
        await _received(shop, len(shop.gateway.sizes) + chance.randrange(1, 4))
        process.kill()
        await process.communicate()
        assert process.returncode == -9
    code, text = await shop.send()

    assert code == 0, text
    assert len(shop.gateway.ids) == number
    assert sum(shop.gateway.ids.values()) - number <= 5 * 1000


async def test_killed_before_the_first_answer(shop: Shop) -> None:
    """A run that was killed before the first acknowledgement begins again at the first line."""
    shop.gateway.troubles = [web.Response(status=503, headers={"Retry-After": "60"})]
    shop.write(*map(lead, range(3)))
    process = await shop.start()
    await until(lambda: not shop.gateway.troubles, what="a request")
    process.kill()
    await process.communicate()

    assert shop.progress.exists()
    assert (await shop.send())[0] == 0
    assert shop.gateway.ids == {"e-0": 1, "e-1": 1, "e-2": 1}


async def test_one_run_at_a_time(shop: Shop) -> None:
    """A second run of the same file is refused while the first one sends it."""
    shop.gateway.troubles = [web.Response(status=503, headers={"Retry-After": "60"})]
    shop.write(lead(0))
    process = await shop.start()
    await until(lambda: not shop.gateway.troubles, what="a request")

    code, text = await shop.send()
    process.kill()
    await process.communicate()

    assert (code, "another run is sending it" in text) == (2, True)
    assert shop.gateway.sizes == []


async def test_where_no_progress_can_be_kept(shop: Shop) -> None:
    """If the progress cannot be written, nothing is sent."""
    shop.write(lead(0))
    shop.progress.with_name(shop.progress.name + ".new").mkdir()

    code, text = await shop.send()

    assert (code, "progress" in text, "Traceback" in text) == (1, True, False)
    assert shop.gateway.sizes == []


async def test_progress_of_something_else(shop: Shop) -> None:
    """A progress file that this version cannot read is named, and not overwritten."""
    shop.write(lead(0))
    shop.progress.write_text("mine")

    code, text = await shop.send()

    assert (code, str(shop.progress) in text) == (2, True)
    assert shop.progress.read_text() == "mine"


async def _received(shop: Shop, requests: int) -> None:
    await until(lambda: len(shop.gateway.sizes) >= requests, what="requests")


async def test_what_stands_beside_the_events(shop: Shop) -> None:
    """Fields of a body in the file go with its events; --test-event-code goes with all others; keys are not sent."""
    body = {"data": [lead(1), lead(2)], "test_event_code": "TEST1", "access_token": "another's", "upload_tag": "tills"}
    shop.write(lead(0), body, lead(3))

    code, text = await shop.send("--test-event-code", "TEST9", str(shop.file))

    assert code == 0, text
    assert shop.gateway.sizes == [1, 2, 1]
    assert shop.gateway.bodies == [
        {"test_event_code": "TEST9"},
        {"test_event_code": "TEST1", "upload_tag": "tills"},
        {"test_event_code": "TEST9"},
    ]


async def test_a_table_with_the_words_of_its_owner(shop: Shop) -> None:
    """A CSV file in a Windows encoding is read with a column mapping, constants, a time zone and a decimal comma."""
    moment = time.strftime("%d.%m.%Y %H:%M", time.gmtime(time.time() - 86_400))
    table = f"Wann;Mail;Stadt;Netto;Bon\n{moment};rose@plants.example;Köln;1.234,50;77\n"
    (shop.directory / "tills.csv").write_bytes(table.encode("cp1252"))

    code, text = await shop.send(
        *("--name", "Purchase", "--timezone", "UTC", "--decimal", ",", "--set", "currency=EUR"),
        *("--set", "action_source=physical_store", "--map", "Wann=event_time", "--map", "Mail=email"),
        *("--map", "Stadt=city", "--map", "Netto=value", "--map", "Bon=order_id", str(shop.directory / "tills.csv")),
    )

    assert code == 0, text
    (event,) = shop.gateway.events
    assert abs(event.pop("event_time") - time.time() + 86_400) < 3600
    assert event == {
        "event_name": "Purchase",
        "event_id": "order-shop-77",
        "action_source": "physical_store",
        "user_data": {"em": "rose@plants.example", "ct": "Köln"},
        "custom_data": {"value": 1234.5, "currency": "EUR", "order_id": "77"},
    }


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--pixel", "9"], "--pixel 1234567890"),
        (["--site", "other"], "--site shop"),
        (["--url", "t.shop.example"], "https://"),
        (["--url", "https://"], "https://t.shop.example"),
        (["--url", "http://t.shop.example:99999"], "https://t.shop.example"),
        (["--url", "https://t..shop.example"], "https://t.shop.example"),
        (["--url", "https://me:secret@t.shop.example"], "https://t.shop.example"),
        (["--url", "https://t.shop.example/?utm_source=mail"], "https://t.shop.example"),
        (["--map", "x"], "is not like"),
        (["--set", "x"], "is not like"),
        (["--timezone", "Nowhere/At_All"], "Nowhere"),
    ],
)
async def test_wrong_usage(shop: Shop, arguments: list[str], why: str) -> None:
    """Options or files that the command cannot use end with exit code 2 and a message that says what is accepted."""
    shop.write(lead(0))

    code, text = await shop.send(*arguments, str(shop.file))

    assert (code, why in text) == (2, True), text


async def test_a_file_of_another_kind(shop: Shop) -> None:
    """A file of a kind that cannot be read ends with exit code 2 and is named."""
    (shop.directory / "orders.xlsx").write_bytes(b"PK")

    code, text = await shop.send(str(shop.directory / "orders.xlsx"))

    assert (code, "orders.xlsx" in text, "Traceback" in text) == (2, True, False)


async def test_without_keys_nothing_is_sent(shop: Shop) -> None:
    """A site without access keys is a usage error; a wrong key ends the run with the proxy's message."""
    shop.write(lead(0))
    shop.configure(keys="[]")
    none = await shop.send()
    shop.configure(keys='["another-key-of-16-characters"]')
    wrong = await shop.send()

    assert (none[0], "access_keys" in none[1]) == (2, True)
    assert (wrong[0], "Invalid OAuth access token" in wrong[1]) == (1, True)
    assert "another-key" not in wrong[1]
