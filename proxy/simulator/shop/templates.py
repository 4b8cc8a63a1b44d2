"""The files of the sample shop's pages, and how a value gets into one."""

import json
from importlib.resources import files
from string import Template

PAGES = files("proxy.simulator.shop") / "pages"


def read(name: str) -> str:
    """Return the text of a file."""
    return (PAGES / name).read_text(encoding="utf-8")


def fill(template: str, /, **parts: str) -> str:
    """Return a file with its ``$placeholders`` filled in; the parts are HTML already.

    Args:
        template: The file's name.
        parts: The text of each placeholder.
    """
    return Template(read(template)).substitute(parts)


def script_json(value: object) -> str:
    """Return a value as JSON that can stand inside a script element."""
    return json.dumps(value).replace("<", "\\u003c")
