"""Receivers of alerts on loopback: what they get, how their answers are reported, and that no secret is shown."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alert_receivers import HOOK_SECRET, PASSWORD, USER, Hook, certificate, hook, mail_server
from clock import NOON

from proxy.alerts import receivers
from proxy.alerts.book import News
from proxy.alerts.message import AlertSender, Message, alert_message, check_message, text_of
from proxy.alerts.receivers import HookReceiver, MailReceiver
from proxy.alerts.state import Alert, ToldAlert, new_alert
from proxy.config.alerts import AlertHook, AlertMail
from proxy.model.condition import Condition, ConditionCode
from proxy.model.condition_advice import ADVICE

SENDER = AlertSender("edge-1", "https://capi.shop.example", "Europe/Berlin")
HOSTILE = "<!channel> @everyone [here](https://evil.example)\r\nBcc: x@evil.example \u001b[31m & *bold*"


def alert(code: ConditionCode, subject: str = "", detail: str = "") -> Alert:
    return new_alert(Condition(code, subject, detail, NOON - 3_600_000), NOON)


def message(*began: Alert, over: tuple[Alert, ...] = ()) -> Message:
    return alert_message("id-1", SENDER, News(began, (), [ToldAlert(each, NOON, NOON) for each in over]), NOON)


PAUSED = alert("pixel_paused", "55", "token; Meta says: Error validating access token (190)")


@pytest.fixture(name="slack")
async def _slack() -> AsyncIterator[Hook]:
    async with hook() as taken:
        yield taken


def receiver(taken: Hook, kind: str = "json") -> HookReceiver:
    return HookReceiver(AlertHook.model_validate({"kind": kind, "url": taken.url}, context={"resolve": str}))


async def test_json_has_every_fact(slack: Hook) -> None:
    """JSON has code, subject, times and advice of the alerts that began and that are over."""
    answer = await receiver(slack).send(message(PAUSED, over=(alert("clock", "", "61 s ahead"),)))
    (body,) = slack.bodies

    assert answer.taken
    assert (body["id"], body["kind"], body["at"], body["proxy"], body["dashboard"]) == (
        *("id-1", "alert", NOON, "edge-1", "https://capi.shop.example"),
    )
    (began,), (over,) = body["began"], body["over"]
    assert (began["code"], began["subject"], began["since"], began["ended"], began["failing"]) == (
        *("pixel_paused", "55", NOON - 3_600_000, 0, True),
    )
    assert "access_token" in began["to_do"]
    assert (over["code"], over["ended"], body["still"], body["missed"]) == ("clock", NOON, [], [])


def test_a_text_says_what_since_when_what_to_do_and_where() -> None:
    """A text says what is wrong, since when in the owner's time zone, what to do, and where to look."""
    text = text_of(message(PAUSED))

    assert text.splitlines() == [
        "A pixel is paused: 55",
        "  token; Meta says: Error validating access token (190)",
        "  Since 2026-09-21 15:13 CEST (pixel_paused)",
        f"  What to do: {ADVICE['pixel_paused'].to_do}",
        "",
        "Proxy: edge-1",
        "Dashboard: https://capi.shop.example",
    ]


@pytest.mark.parametrize(
    ("began", "over", "title"),
    [
        ([PAUSED], [], "A pixel is paused: 55"),
        ([PAUSED, alert("clock")], [], "A pixel is paused: 55, and 1 more"),
        ([], [PAUSED], "Over: A pixel is paused: 55"),
        ([], [PAUSED, PAUSED], "2 conditions are over"),
        ([PAUSED], [alert("clock")], "A pixel is paused: 55; over: The clock of this machine is wrong"),
    ],
)
def test_a_title_says_the_most_important(began: list[Alert], over: list[Alert], title: str) -> None:
    """The title, which a notification shows, names what began first."""
    assert message(*began, over=tuple(over)).title == title


async def test_slack_gets_its_form_and_nobody_is_called(slack: Hook) -> None:
    """Texts of strangers and of Meta mention nobody and link nowhere."""
    answer = await receiver(slack, "slack").send(message(alert("foreign_origin", HOSTILE, HOSTILE)))
    (body,) = slack.bodies

    assert (answer.taken, set(body)) == (True, {"text"})
    assert body["text"].startswith("*[edge-1] Pages are refused: &lt;!channel&gt;")
    assert "<" not in body["text"].replace("&lt;", "")


async def test_discord_gets_its_form_and_nobody_is_called(slack: Hook) -> None:
    """Mentions are disabled, and characters that would format or link are escaped."""
    slack.status, slack.said = 204, ""
    answer = await receiver(slack, "discord").send(message(alert("foreign_origin", HOSTILE, HOSTILE)))
    (body,) = slack.bodies
    (embed,) = body["embeds"]

    assert (answer.taken, body["allowed_mentions"]) == (True, {"parse": []})
    assert "\\[here\\]\\(https" in embed["description"]


@pytest.mark.parametrize("kind", ["json", "slack", "discord"])
async def test_a_flood_stays_within_the_limits_of_the_receiver(slack: Hook, kind: str) -> None:
    """Of five hundred conditions with very long details some are listed, and the rest is counted."""
    flood = [alert("foreign_origin", f"{number}." + "x" * 300, "y" * 5_000) for number in range(500)]
    await receiver(slack, kind).send(message(*flood))
    (body,) = slack.bodies
    text = body["embeds"][0]["description"] if kind == "discord" else body["text"]

    assert len(text) <= {"json": 20_000, "slack": 4_000, "discord": 4_096}[kind]
    assert kind != "json" or "… and 480 more" in text


@pytest.mark.parametrize(
    ("status", "said", "headers", "expected"),
    [
        (404, "no_service", {}, ("HTTP 404: no_service", 0)),
        (429, "slow down", {"Retry-After": "7"}, ("HTTP 429: slow down", 7)),
        (429, "", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, ("HTTP 429", 0)),
        (503, "", {"Retry-After": "9" * 50}, ("HTTP 503", 0)),
        (500, f"no hook {HOOK_SECRET} here\u001b[2J", {}, ("HTTP 500: no hook … here [2J", 0)),
        (302, "", {"Location": "http://127.0.0.1:1/"}, ("HTTP 302: redirects are not followed", 0)),
        (500, "x" * 100_000, {}, (f"HTTP 500: {'x' * 200}", 0)),
    ],
)
async def test_a_refusal_is_told_in_plain_words(
    slack: Hook, status: int, said: str, headers: dict[str, str], expected: tuple[str, float]
) -> None:
    """The receiver's answer is shown, shortened and without the secret of its address; a redirect is not followed."""
    slack.status, slack.said, slack.headers = status, said, headers

    assert await receiver(slack).send(message(PAUSED)) == (False, *expected)
    assert slack.asked == 1


async def test_a_receiver_that_cannot_be_reached_is_named_without_its_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Only the host of the address is shown or logged."""
    away = receiver(Hook(f"http://127.0.0.1:1/{HOOK_SECRET}"))
    with caplog.at_level(logging.DEBUG):
        answer = await away.send(message(PAUSED))

    assert (answer.taken, answer.text) == (False, "cannot be reached (nothing listens there)")
    assert HOOK_SECRET not in caplog.text + away.name + away.key


async def test_a_receiver_that_hangs_is_given_up(slack: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that accepts the request but does not answer is given up after a fixed time."""
    monkeypatch.setattr(receivers, "TIMEOUT_S", 0.2)
    slack.hangs = True

    assert (await receiver(slack).send(message(PAUSED))).text == "no answer within 0 s"
    assert slack.asked == 1


def mail(port: int, **settings: Any) -> AlertMail:
    document = {"sender": "capi-proxy@shop.example", "to": ["owner@shop.example"], **settings}
    return AlertMail.model_validate({"host": "127.0.0.1", "port": port, **document}, context={"resolve": str})


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_mail_arrives(security: str, tmp_path: Path) -> None:
    """An e-mail with the facts arrives without TLS, over TLS, and after STARTTLS with a login."""
    shown = certificate(tmp_path)
    secured: dict[str, Any] = {} if security == "none" else {security: shown}
    login = {} if security != "starttls" else {"user": USER, "password": PASSWORD}
    async with mail_server(**secured) as server:
        settings = mail(server.port, security=security, to=["owner@shop.example", "second@shop.example"], **login)
        answer = await MailReceiver(settings, shown.client).send(message(alert("pixel_paused", "55", HOSTILE)))
    (letter,) = server.letters

    assert answer.taken, answer.text
    assert server.to == ["owner@shop.example", "second@shop.example"]
    assert (letter["Subject"], letter["From"]) == ("[edge-1] A pixel is paused: 55", "capi-proxy@shop.example")
    assert (letter["Auto-Submitted"], letter["Message-ID"]) == ("auto-generated", "<id-1@shop.example>")
    assert letter["Bcc"] is None
    assert "What to do: Meta refuses the token" in " ".join(letter.get_content().split())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"user": USER, "password": "wrong"}, "SMTP 535: 5.7.8 Authentication credentials invalid"),
        ({}, "SMTP 530: 5.7.0 Authentication required"),
        ({"user": USER, "password": PASSWORD}, "SMTP 554: no mail for … or …"),
    ],
)
async def test_a_mail_server_that_refuses_is_quoted_without_addresses(
    settings: dict[str, str], text: str, tmp_path: Path
) -> None:
    """The server's code and text are shown, without addresses and login."""
    shown = certificate(tmp_path)
    async with mail_server(starttls=shown) as server:
        server.answer = f"554 no mail for owner@shop.example or {USER}"
        answer = await MailReceiver(mail(server.port, **settings), shown.client).send(message(PAUSED))

    assert (answer.taken, answer.text, server.letters) == (False, text, [])


async def test_no_letter_goes_to_a_mail_server_without_a_trusted_certificate(tmp_path: Path) -> None:
    """Neither a server with an unknown certificate nor one without TLS gets the password or the message."""
    async with mail_server(starttls=certificate(tmp_path)) as unknown, mail_server() as plain:
        answers = [
            await MailReceiver(mail(server.port, user=USER, password=PASSWORD)).send(message(PAUSED))
            for server in (unknown, plain)
        ]

    assert [answer.taken for answer in answers] == [False, False]
    assert unknown.letters == plain.letters == []


@pytest.mark.parametrize(
    ("security", "why"),
    [
        ("starttls", "SMTP STARTTLS extension not supported by server."),
        ("tls", "what answers does not speak TLS as it should"),
    ],
)
async def test_what_a_mail_server_lacks_is_said(security: str, why: str) -> None:
    """With a wrong ``security`` setting the error says what the server does not do."""
    async with mail_server() as server:
        answer = await MailReceiver(mail(server.port, security=security)).send(message(PAUSED))

    assert (answer.taken, answer.text, server.letters) == (False, f"no SMTP connection ({why})", [])


async def test_a_connection_that_fails_is_told_in_words(tmp_path: Path) -> None:
    """An unused port, an unknown name and an untrusted certificate are each reported in words."""
    async with mail_server(starttls=certificate(tmp_path)) as unknown:
        answers = [
            await MailReceiver(mail(1, security="none")).send(message(PAUSED)),
            await MailReceiver(mail(1, host="nowhere.invalid")).send(message(PAUSED)),
            await MailReceiver(mail(unknown.port)).send(message(PAUSED)),
            await receiver(Hook(f"http://nowhere.invalid/{HOOK_SECRET}")).send(message(PAUSED)),
        ]

    assert [answer.text for answer in answers] == [
        "no SMTP connection (nothing listens there)",
        "no SMTP connection (its name leads nowhere)",
        "no SMTP connection (its certificate is not trusted)",
        "cannot be reached (its name leads nowhere)",
    ]


async def test_a_mail_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts the connection but sends no greeting is given up after a fixed time."""
    monkeypatch.setattr(receivers, "TIMEOUT_S", 0.2)
    async with hook() as silent:  # waits for a request, as a mail client waits for a greeting
        port = int(silent.url.split(":")[2].split("/")[0])
        answer = await MailReceiver(mail(port, security="none")).send(message(PAUSED))

    assert (answer.taken, answer.text) == (False, "no answer within 0 s")


def test_a_test_message_alarms_nobody() -> None:
    """It says that it is a test and that nothing is wrong."""
    sent = check_message("id", SENDER, NOON)

    assert (sent.kind, sent.is_bad) == ("test", False)
    assert "Nothing is wrong" in json.dumps(text_of(sent))
