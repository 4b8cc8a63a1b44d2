"""Reads the scripts, images and policies in a page's HTML that matter to the tag. Pure."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass(slots=True)
class PageScript:
    """A script element."""

    place: int
    """Its number among the scripts of the page, from 0."""
    kind: str
    """Its ``type``; empty when it has none."""
    src: str = ""
    nonce: str = ""
    integrity: str = ""
    text: str = ""


@dataclass(slots=True)
class Markup:
    """What was found in a page."""

    scripts: list[PageScript] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    """Addresses of images, those in ``noscript`` included."""
    policies: list[str] = field(default_factory=list)
    """The Content-Security-Policies of ``meta`` elements."""
    base: str = ""
    """The address of the ``base`` element, for relative addresses; empty when there is none."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.markup = Markup()
        self._open: PageScript | None = None

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        values: dict[str, str] = {}
        for name, value in attrs:
            values.setdefault(name, value or "")
        match tag:
            case "script":
                self._script(values)
            case "img":
                self.markup.images.append(values.get("src", ""))
            case "base":
                self.markup.base = self.markup.base or values.get("href", "")
            case "meta" if values.get("http-equiv", "").lower() == "content-security-policy":
                self.markup.policies.append(values.get("content", ""))
            case _:
                pass

    def _script(self, values: dict[str, str]) -> None:
        self._open = PageScript(
            place=len(self.markup.scripts),
            kind=values.get("type", "").strip(),
            src=values.get("src", "").strip(),
            nonce=values.get("nonce", "").strip(),
            integrity=values.get("integrity", "").strip(),
        )
        self.markup.scripts.append(self._open)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open.text += data


def markup_of(html: str) -> Markup:
    """Return what is in a page, however broken it is."""
    reader = _Reader()
    # CPython 3.11's parser raises at a declaration that it cannot read; what it has read before that is used.
    with suppress(AssertionError):
        reader.feed(html)
        reader.close()
    return reader.markup
