"""Which events a pixel gets: the names that its ``events`` list includes."""

ALL = ("*",)


def wants(events: tuple[str, ...], name: str) -> bool:
    """Tell whether a pixel's ``events`` list includes a name; exclusions win, and alone they include all others."""
    if events == ALL:
        return True
    if f"!{name}" in events:
        return False
    only_exclusions = events != () and all(event.startswith("!") for event in events)
    return only_exclusions or "*" in events or name in events
