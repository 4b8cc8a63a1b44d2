"""Guessing the operator's password: answers are delayed, guesses are reported, and the owner is not locked out."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support import Installation, installation, until

from proxy.config.password_hash import hash_of
from proxy.operator import wrong_passwords
from proxy.operator.wrong_passwords import FIRST_DELAY_S, LONGEST_DELAY_S, WrongPasswords
from proxy.telemetry.conditions import Conditions

PASSWORD = "the right one of the owner"
RIGHT = {"Authorization": "Basic " + base64.b64encode(f"operator:{PASSWORD}".encode()).decode()}
WRONG = {"Authorization": "Basic " + base64.b64encode(b"operator:a guess").decode()}


@asynccontextmanager
async def closed_shop(directory: Path, password: str = PASSWORD) -> AsyncIterator[Installation]:
    async with installation(directory, more={"server": {"operator_password": password}}) as shop:
        yield shop


async def asked(shop: Installation, headers: dict[str, str] | None) -> int:
    async with shop.session.get(f"{shop.operator}/api/status", headers=headers) as answer:
        return answer.status


async def test_wrong_passwords_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Several wrong passwords cause a condition and one log line, without address or password."""
    monkeypatch.setattr(wrong_passwords, "FIRST_DELAY_S", 0.0)
    async with closed_shop(tmp_path) as shop:
        statuses = [await asked(shop, WRONG) for _ in range(7)]
        async with shop.session.get(f"{shop.operator}/api/status", headers=RIGHT) as answer:
            conditions = (await answer.json())["conditions"]

    assert statuses == [401] * 7
    assert [(condition["code"], condition["failing"]) for condition in conditions] == [("operator_password", False)]
    assert sum("operator_password" in record.message for record in caplog.records) == 1
    assert not any(word in caplog.text for word in ("127.0.0.1", "guess:", base64.b64encode(b"operator").decode()))


@pytest.mark.parametrize("configured", [PASSWORD, str(hash_of(PASSWORD, b"0123456789abcdef"))], ids=["clear", "hash"])
async def test_the_owner_gets_in_while_somebody_guesses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: str
) -> None:
    """While the most guesses wait, a new address gets 429 unread, and one that logged in before is served."""
    gate, delays = asyncio.Event(), list[float]()

    async def delay(seconds: float) -> None:
        delays.append(seconds)
        await gate.wait()

    monkeypatch.setattr(WrongPasswords.__init__, "__defaults__", (delay,))
    async with closed_shop(tmp_path, configured) as shop:
        guessing = [asyncio.create_task(asked(shop, WRONG)) for _ in range(wrong_passwords._MOST_LATE)]

        async def full() -> bool:
            return await asked(shop, None) == 429

        await until(full, what="as many late answers as may be")
        unread = await asked(shop, RIGHT)
        gate.set()
        late = await asyncio.gather(*guessing)
        before = await asked(shop, RIGHT)
        gate.clear()
        again = [asyncio.create_task(asked(shop, WRONG)) for _ in range(wrong_passwords._MOST_LATE)]
        await until(lambda: len(delays) == 2 * wrong_passwords._MOST_LATE, what="as many late answers again")
        with_password = await asked(shop, RIGHT)
        gate.set()
        await asyncio.gather(*again)

    assert late == [401] * wrong_passwords._MOST_LATE
    assert (unread, before, with_password) == (429, 200, 200)


@pytest.mark.parametrize(("waiting", "refused"), [(0, []), (8, ["new"]), (31, ["new"]), (32, ["new", "owner's"])])
def test_checks_that_wait_lock_no_owner_out(waiting: int, refused: list[str]) -> None:
    """Guesses that wait for the check of a hash turn new addresses away, and only many of them the owner's."""
    guard = WrongPasswords(Conditions(lambda: 0), lambda: 0)
    guard.record_success("192.0.2.1")
    addresses = {"new": "192.0.2.99", "owner's": "192.0.2.1"}

    assert [name for name, address in addresses.items() if guard.is_throttled(address, waiting)] == refused


async def test_asking_without_a_password_is_no_guess(tmp_path: Path) -> None:
    """A request without a password, as a browser's first, is answered at once and does not count as a guess."""
    async with closed_shop(tmp_path) as shop:
        for _ in range(30):
            assert await asked(shop, None) == 401
        async with shop.session.get(f"{shop.operator}/api/status", headers=RIGHT) as answer:
            assert (await answer.json())["conditions"] == []


def recorded() -> tuple[WrongPasswords, list[float], Callable[[float], None]]:
    clock, delays = [0], list[float]()

    async def sleep(seconds: float) -> None:
        delays.append(seconds)

    def forward(seconds: float) -> None:
        clock[0] += int(seconds * 1000)

    return WrongPasswords(Conditions(lambda: clock[0]), lambda: clock[0], sleep), delays, forward


async def test_each_wrong_password_is_answered_later() -> None:
    """The delay doubles up to its bound; the right password, or an hour without a wrong one, ends it."""
    wrong_passwords, delays, forward = recorded()
    for _ in range(7):
        await wrong_passwords.delay_failure("192.0.2.1")
    wrong_passwords.record_success("192.0.2.1")
    await wrong_passwords.delay_failure("192.0.2.1")
    forward(3601)
    await wrong_passwords.delay_failure("192.0.2.1")

    assert delays[:5] == [FIRST_DELAY_S, 0.5, 1.0, 2.0, LONGEST_DELAY_S]
    assert delays[5:] == [LONGEST_DELAY_S, LONGEST_DELAY_S, FIRST_DELAY_S, FIRST_DELAY_S]


async def test_many_addresses_guess_no_faster_than_one() -> None:
    """After some wrong passwords from any addresses, a new address gets the longest delay too; memory is bounded."""
    wrong_passwords, delays, _ = recorded()
    for number in range(3000):
        await wrong_passwords.delay_failure(f"192.0.{number // 250}.{number % 250}")

    assert delays[0] == FIRST_DELAY_S
    assert set(delays[20:]) == {LONGEST_DELAY_S}
    assert len(wrong_passwords._wrong) <= 1024
