"""The contributor's page names only existing paths and make targets, and its examples touch few files."""

import re
import sys
from pathlib import Path
from types import FrameType

import pytest
from support import installation, page_views

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
TOPS = {"proxy", "static", "tests", "docs", "bench", "deploy", "tools"}
EXAMPLES = dict(re.findall(r"^### (\d+\. [^\n]+)\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))


def paths_in(text: str) -> list[str]:
    """Return every path of the project that a text names in backticks, in order."""
    named = re.findall(r"`([\w./-]+)`", text)
    return [name for name in named if name.split("/")[0] in TOPS or re.fullmatch(r"[\w.-]+\.(?:md|toml)", name)]


def code_files(text: str) -> set[str]:
    """Return the files of the program that the numbered steps of an example change."""
    steps = re.findall(r"^\d+\. (.*?)(?=^\d+\. |^$)", text, re.MULTILINE | re.DOTALL)
    return {path for step in steps for path in paths_in(step) if path.split("/")[0] in {"proxy", "static"}}


@pytest.mark.parametrize("path", sorted(set(paths_in(PAGE))))
def test_a_path_exists(path: str) -> None:
    """Each file and directory that the page names exists."""
    assert (ROOT / path).exists()


def test_every_room_has_its_place_in_the_map() -> None:
    """The table that says where a change belongs has every package of the program."""
    table = PAGE.partition("## Where a change belongs")[2].partition("\n## ")[0]
    packages = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob("proxy/*/**/__init__.py")}

    assert packages - set(paths_in(table)) == set()


PATH = re.findall(r"^\| \d \| `([\w./]+)` \|", PAGE, re.MULTILINE)


def test_the_path_of_a_hit_is_in_eight_files() -> None:
    """At most eight files, none of them long, show a hit's way from bytes to commit."""
    assert 5 <= len(PATH) <= 8
    assert [path for path in PATH if len((ROOT / path).read_text().splitlines()) > 250] == []


async def test_a_hit_goes_through_the_files_of_the_path(tmp_path: Path) -> None:
    """A hit on a real socket, with a real queue, calls each file in the page's order, and finally the first again."""
    files: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(f"{ROOT}/"):
            files.append(frame.f_code.co_filename.removeprefix(f"{ROOT}/"))

    async with installation(tmp_path) as shop:
        sys.setprofile(note)
        try:
            status, _, _ = await shop.post(page_views(["followed"]))
        finally:
            sys.setprofile(None)

    calls = iter(files)
    assert status == 204
    assert [path for path in [*PATH, PATH[0]] if path not in calls] == []


def test_the_make_targets_exist() -> None:
    """Every target that the page names exists."""
    named = set(re.findall(r"`make ([a-z]+)`", PAGE))

    assert named - set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) == set()
    assert named


def test_there_are_ten_examples() -> None:
    """The page has ten examples; each names code, and all except the tenth name tests."""
    assert len(EXAMPLES) == 10
    assert [name for name, text in EXAMPLES.items() if not code_files(text)] == []
    assert [name for name, text in EXAMPLES.items() if not name.startswith("10.") and "tests/" not in text] == []


@pytest.mark.parametrize("name", [name for name in EXAMPLES if not name.startswith("10.")])
def test_an_example_needs_few_files(name: str) -> None:
    """A usual change touches at most three files of the program, besides documentation and tests."""
    assert len(code_files(EXAMPLES[name])) <= 3
