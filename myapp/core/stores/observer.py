"""What is told of the work of a store, when somebody measures it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Observer:
    """Who is told of the work of a store.

    :param command: called after each command, with the seconds that it took.
    :param connections: called with 1 when a connection is opened, and with -1 when one
        is closed.
    """

    command: Callable[[float], object]
    connections: Callable[[int], object]
