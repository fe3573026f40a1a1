"""Whether a port is free, asked before a server starts: ``python -m myapp.core.ports
HOST PORT COMMAND``."""

import errno
import socket
import sys


def port_refusal(host: str, port: int, command: str) -> str:
    """Why a server cannot listen; empty when it can.

    :param command: that starts it, for the advice.
    """
    if not 0 <= port < 65536:
        return f"{port} is no port"
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = 8000 if port != 8000 else 8001
            return f"port {port} is in use; take another one: PORT={other} {command}"
        return f"{host}:{port} cannot be listened on: {error.strerror or error}"
    return ""


if __name__ == "__main__":
    sys.exit(port_refusal(sys.argv[1], int(sys.argv[2]), sys.argv[3]) or 0)
