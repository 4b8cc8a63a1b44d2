"""Let coverage guide the fuzzer (atheris, libFuzzer): the bytes it makes are the choices that make a request.

    python guided.py CORPUS -atheris_runs=100000

It ends with the first request that is answered wrongly; libFuzzer writes its choices to ``crash-…``. What an answer
costs is not looked at here, since counting coverage costs more: ``run.py --choices CORPUS`` does that afterwards.
"""

import sys

import atheris

with atheris.instrument_imports(include=["proxy"]):
    from maker import Bytes
    from target import Door, drawn


_DOOR = Door()


def once(data: bytes) -> None:
    """Answer one request.

    Raises:
        AssertionError: when it is answered wrongly.
    """
    wrong = _DOOR.wrong(drawn(Bytes(data)))
    assert not wrong, wrong


if __name__ == "__main__":
    atheris.Setup(sys.argv, once)
    atheris.Fuzz()
