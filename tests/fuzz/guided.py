"""Let coverage guide the fuzzer (atheris, libFuzzer): its bytes are the choices from which a request is made.

    python guided.py CORPUS -atheris_runs=100000

It ends with the first request that is answered wrongly; libFuzzer writes that request's choices to ``crash-…``. Costs
are not checked here, since counting coverage costs more: ``run.py --choices CORPUS`` does that afterwards.
"""

import random
import sys
from pathlib import Path

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


def sown(corpus: Path) -> None:
    """Fill the corpus with choices long enough for whole requests; without them libFuzzer takes long to get there."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number in range(100):
        (corpus / f"sown-{number}").write_bytes(random.Random(number).randbytes(1500))  # noqa: S311 - repeatable


if __name__ == "__main__":
    sown(Path(sys.argv[1]))
    atheris.Setup(sys.argv, once)
    atheris.Fuzz()
