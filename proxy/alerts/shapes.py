"""A message in the format of its receiver: our own JSON, Slack's, Discord's, or an e-mail. No I/O, no clock."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final, Literal, assert_never

from proxy.alerts.message import Item, Message, text_of
from proxy.config.alerts import AlertMail

# Slack cuts a text after 40,000 characters, and advises 4,000; Discord refuses a description of more than 4,096
# characters and a title of more than 256.
_MOST_TEXT: Final = 3_500
_MOST_TITLE: Final = 200
_RED, _GREEN, _BLUE = 0xC62828, 0x2E7D32, 0x1565C0
# What Discord would show as formatting (its guide to Markdown); links become plain text with it.
_DISCORD_MARKS = re.compile(r"([\\*_~`|>#\[\]()-])")


def hook_body(kind: Literal["json", "slack", "discord"], message: Message) -> Mapping[str, Any]:
    """Return the JSON document that is posted to a webhook of a kind."""
    match kind:
        case "json":
            return _json(message)
        case "slack":
            return {"text": f"*{_slack(_cut(heading(message), _MOST_TITLE))}*\n{_slack(_cut(text_of(message)))}"}
        case "discord":
            return _discord(message)
        case _:
            assert_never(kind)


def mail(message: Message, settings: AlertMail) -> EmailMessage:
    """Return a message as an e-mail."""
    letter = EmailMessage()
    letter["Subject"] = _cut(heading(message), _MOST_TITLE)
    letter["From"] = settings.sender
    letter["To"] = ", ".join(settings.to)
    letter["Date"] = format_datetime(datetime.fromtimestamp(message.at / 1000, UTC))
    letter["Message-ID"] = f"<{message.id}@{settings.sender.rpartition('@')[2]}>"
    # So that automatic absence notes do not answer (RFC 3834).
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(text_of(message))
    return letter


def heading(message: Message) -> str:
    """Return the title of a message, with the name of the proxy before it."""
    return f"[{message.sender.proxy}] {message.title}"


def _json(message: Message) -> Mapping[str, Any]:
    sender = message.sender
    parts = {name: list(map(_item, getattr(message, name))) for name in ("began", "still", "over", "missed")}
    return {
        "id": message.id,
        "kind": message.kind,
        "at": message.at,
        "proxy": sender.proxy,
        "dashboard": sender.dashboard,
        "title": message.title,
        "text": text_of(message),
        **parts,
    }


def _item(item: Item) -> Mapping[str, Any]:
    return item._asdict()


def _discord(message: Message) -> Mapping[str, Any]:
    color = _RED if message.is_bad else _BLUE if message.kind != "alert" else _GREEN
    text = _DISCORD_MARKS.sub(r"\\\1", _cut(text_of(message), _MOST_TEXT // 2))
    embed = {"title": _cut(heading(message), _MOST_TITLE), "description": text, "color": color}
    if message.sender.dashboard:
        embed["url"] = message.sender.dashboard
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def _slack(text: str) -> str:
    """Return a text escaped for Slack, so that it mentions no person or channel (Slack, escaping text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, most: int = _MOST_TEXT) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
