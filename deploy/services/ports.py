"""Ports that nobody listens on, chosen so that they are still free after a server was killed and starts again."""

import secrets
import socket

# Below the range from which Linux takes the ports of outgoing connections (32768 and up): none of those can move in meanwhile.
FIRST, LAST = 20000, 32000
TRIES_MAX = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A free port, drawn at random so that test processes side by side do not draw the same one. Raises `OSError` if none is found."""
    for _ in range(TRIES_MAX):
        port = FIRST + secrets.randbelow(LAST - FIRST)
        if is_free(port):
            return port
    raise OSError(f"found no free port between {FIRST} and {LAST} in {TRIES_MAX} tries")


def accepts(port: int, greeting: bytes = b"", answer: bytes = b"") -> bool:
    """Whether somebody listens there and, given a greeting, answers it with these first bytes."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            if not greeting:
                return True
            connection.sendall(greeting)
            return connection.recv(len(answer)) == answer
    except OSError:
        return False
