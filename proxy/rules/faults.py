"""Errors of ours that no rule foresaw, named so that they can be counted and logged: never a value, never a body."""


def fault(error: BaseException) -> str:
    """Return the type of an error and the innermost place in our code that it came through."""
    place, trace = "", error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith("proxy."):
            place = f" in {module}.{trace.tb_frame.f_code.co_qualname}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return type(error).__name__ + place
