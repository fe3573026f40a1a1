"""A TCP proxy between the application and a server, which can stop, cut and refuse."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

# The most that is relayed at once, in bytes, and seconds between two looks.
CHUNK, LOOK_EVERY = 65536, 0.05


class Proxy:
    """Relays connections to a server on this machine, until it is told otherwise.

    :param host: the server; ``port``: its port.
    :ivar port: the port of the proxy on 127.0.0.1.
    """

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        #: Called with each reply; the reply is lost, and the connection closed, when it
        #: returns true.
        self.lose: Callable[[bytes], bool] = lambda reply: False
        #: Clear it to let every connection hang.
        self.flowing = threading.Event()
        self.flowing.set()
        self.is_open = True
        self._sockets: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open = False
        self.flowing.set()
        with suppress(OSError):
            # Close alone does not wake the thread that accepts.
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def cut(self) -> None:
        """End every connection."""
        for one in list(self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            self._sockets.discard(one)

    def _accept(self) -> None:
        while self.is_open:
            with suppress(OSError):
                client, _ = self.listener.accept()
                self._sockets.add(client)
                server = socket.create_connection(self.server)
                self._sockets.add(server)
                for pair in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._relay, args=pair, daemon=True).start()

    def _relay(
        self, source: socket.socket, target: socket.socket, replies: bool
    ) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                while not self.flowing.wait(LOOK_EVERY) and self.is_open:
                    pass
                if replies and self.lose(data):
                    break
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            self._sockets.discard(one)
