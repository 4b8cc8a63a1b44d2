"""Relays TCP connections from one port of loopback to another, until it is ended: ``relay_process.py LISTEN TARGET``.

It is a process of its own, so that a test can cut the network by stopping it (SIGSTOP): connections stay open, new ones
are accepted by the system, and nothing is forwarded. It imports as little as possible, as a test starts a dozen.
"""

import socket
import sys
import threading


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass  # the other direction ended both
    for end in (source, sink):
        try:  # noqa: SIM105 - contextlib is not worth its import here
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def _relay(client: socket.socket, target: int) -> None:
    with client:
        try:
            server = socket.create_connection(("127.0.0.1", target))
        except OSError:
            return
        with server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def main(listen: int, target: int) -> None:
    """Relay for ever."""
    with socket.create_server(("127.0.0.1", listen), backlog=256) as door:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            client, _ = door.accept()
            threading.Thread(target=_relay, args=(client, target), daemon=True).start()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
