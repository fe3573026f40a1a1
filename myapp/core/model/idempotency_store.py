"""What a store holds for an Idempotency-Key: the response to the first request."""

from dataclasses import dataclass
from typing import Protocol

from myapp.core.errors.problem import Problem


@dataclass(frozen=True)
class RequestKey:
    """The Idempotency-Key of a request.

    :param id: the digest of caller, method, path and key.
    :param fingerprint: the digest of the request.
    :param record: the id in its URL; empty where it names no record.
    """

    id: str
    fingerprint: str
    record: str = ""


@dataclass(frozen=True)
class KeptResponse:
    """The response that is kept for a key."""

    fingerprint: str
    status: int
    headers: dict[str, str]
    body: str


class KeyTaken(Problem):
    """Another request with the same Idempotency-Key was committed first."""

    def __init__(self) -> None:
        super().__init__("conflict", "This Idempotency-Key is in use.")


class ResponseStore(Protocol):
    """Stores the kept responses of a model's routes, in the store of its records."""

    def find(self, key: RequestKey) -> KeptResponse | None:
        """The response that is kept for a key."""

    def keep(self, key: RequestKey, response: KeptResponse, life: float) -> None:
        """Store a response for ``life`` seconds with the writes of this request. It
        waits for another request with the same key that is about to commit.

        :raises KeyTaken: now or at the commit, when the key has a response.
        """
