"""What ``check`` tells about a configuration that is sound in itself."""

from pathlib import Path

from support import raw_config

from proxy import config
from proxy.doctor import Finding, findings


def about(directory: Path, **site: str) -> list[Finding]:
    """Return what is found about the addresses of a site."""
    loaded = config.parse(raw_config("https://graph.example", directory, **site), {}, base=directory)
    return [one for one in findings(loaded) if one.text.startswith("site[")]


def test_names_that_lists_know_are_told(tmp_path: Path) -> None:
    """The finding names setting, value, reason and what is better; it is a doubt, not a failure."""
    (found,) = about(tmp_path, tag_name="fbevents.js")

    assert found.text.startswith("site[0].tag_name: 'fbevents.js' is the name of a tracking product")
    assert 'better: "m.js"' in found.text
    assert not found.failed


def test_all_doubtful_names_are_told_together(tmp_path: Path) -> None:
    """Each doubtful name of a site has its own line."""
    found = about(tmp_path, prefix="/api", collect_name="collect", image_name="t.gif")

    assert [one.text.partition(":")[0] for one in found] == [
        "site[0].prefix",
        "site[0].collect_name",
        "site[0].image_name",
    ]


def test_default_names_are_not_told(tmp_path: Path) -> None:
    """A derived prefix with the default names is nothing to speak of."""
    assert about(tmp_path, prefix="") == []
