"""Replicas of PostgreSQL, which answer the reads of requests that may be a little late.

A replica is used while it is at most ``REPLICA_MAX_LAG`` seconds behind. To know that,
each process notes now and then how far the log of the primary is (its LSN), and
compares it with how far a replica has replayed it. No other clock takes part.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from myapp.core.stores.sql.faults import is_database_unavailable
from myapp.core.stores.state import request_state

# Seconds between two looks at the replicas, and for which one that fails is left alone.
LOOK_EVERY, LEAVE_ALONE = 1.0, 5.0
# How many positions of the primary are kept.
POSITIONS = 60
WRITTEN = text("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
REPLAYED = text("SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint")


class Replica:
    """A replica, as this process knows it.

    :param name: what warnings call it.
    """

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine
        #: Seconds that it was behind at the last look; ``None`` when it did not answer.
        self.lag: float | None = None
        #: Why it is not used, if it is not.
        self.reason = "has not been asked yet"
        #: Until when it is left alone, in seconds of ``time.monotonic``.
        self.resting_until = 0.0

    def rest(self, reason: str) -> None:
        """Leave it alone for some time."""
        self.lag, self.reason = None, reason
        self.resting_until = time.monotonic() + LEAVE_ALONE


class Replicas:
    """The replicas of a primary.

    :param primary: an engine that sends no BEGIN.
    :param engines: of the replicas, by their names.
    :param max_lag: seconds that one may be behind.
    """

    def __init__(
        self, primary: Engine, engines: dict[str, Engine], max_lag: float
    ) -> None:
        self.primary = primary
        self.all = [Replica(name, engine) for name, engine in engines.items()]
        self.max_lag = max_lag
        self._turns = count()
        self._lock = threading.Lock()
        self._next_look = self._primary_rests_until = 0.0
        # Moments, and how far the log of the primary was then.
        self._positions: deque[tuple[float, int]] = deque(maxlen=POSITIONS)

    def read(self, statement: Any, parameters: Any) -> Sequence[Any] | None:
        """All rows of a statement from a replica; ``None`` when the primary is to be
        asked: no replica is near enough, or the one that was asked has failed. All
        reads of a request ask the same one, since another one may be further behind."""
        state = request_state()
        replica = state.replica = state.replica or self.pick()
        if replica is None:
            state.is_fresh = True
            return None
        try:
            with replica.engine.connect() as connection:
                rows: Sequence[Any] = connection.execute(statement, parameters).all()
                return rows
        except SQLAlchemyError as error:
            # Another error may be one that only a replica has, such as a table that it
            # does not know yet; the primary tells.
            if is_database_unavailable(error):
                replica.rest("does not answer")
            state.is_fresh = True
            return None

    def pick(self) -> Replica | None:
        """The next replica that is near enough."""
        self.look()
        near = [one for one in self.all if self.is_near(one)]
        return near[next(self._turns) % len(near)] if near else None

    def is_near(self, replica: Replica) -> bool:
        """Whether a replica may be used."""
        return replica.lag is not None and replica.lag <= self.max_lag

    def look(self) -> None:
        """Find out how far each replica is behind, if the last look is some time ago.
        Other threads go on with what they know meanwhile."""
        if time.monotonic() < self._next_look or not self._lock.acquire(blocking=False):
            return
        try:
            if time.monotonic() >= self._primary_rests_until:
                self.note_position()
            for replica in self.all:
                if time.monotonic() >= replica.resting_until:
                    self.ask(replica)
            self._next_look = time.monotonic() + LOOK_EVERY
        finally:
            self._lock.release()

    def note_position(self) -> None:
        """Note how far the primary is. While it does not answer, what was known of it
        is used: as long as it is down, nothing new is written."""
        moment = time.monotonic()
        try:
            with self.primary.connect() as connection:
                position = connection.execute(WRITTEN).scalar_one()
        except SQLAlchemyError:
            self._primary_rests_until = time.monotonic() + LEAVE_ALONE
            return
        self._positions.append((moment, position))

    def ask(self, replica: Replica) -> None:
        """Find out how far a replica is behind."""
        try:
            with replica.engine.connect() as connection:
                replayed = connection.execute(REPLAYED).scalar_one()
        except SQLAlchemyError:
            replica.rest("does not answer")
            return
        if replayed is None:
            replica.rest("is no replica")
            return
        replica.lag = self.lag_at(replayed)
        replica.reason = f"is {replica.lag:.1f} s behind"

    def lag_at(self, replayed: int) -> float:
        """How many seconds of the log of the primary a position leaves out, at most."""
        if not self._positions or replayed >= self._positions[-1][1]:
            return 0.0
        now = time.monotonic()
        reached = [moment for moment, one in self._positions if one <= replayed]
        # It holds all that was written before the last position that it has reached.
        return now - (reached[-1] if reached else self._positions[0][0] - LOOK_EVERY)

    def warning(self) -> str | None:
        """Which replicas are not used, in one sentence."""
        self.look()
        told = [f"{one.name} {one.reason}" for one in self.all if not self.is_near(one)]
        return f"Not used: {', '.join(told)}." if told else None

    def close(self) -> None:
        """Close the connections that are not in use."""
        for replica in self.all:
            replica.engine.pool.dispose()
