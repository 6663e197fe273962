"""A port of this machine for processes that train together in a test."""

import socket


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on; another program may take it before it is used."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
