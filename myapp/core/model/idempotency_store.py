"""What a store keeps of an Idempotency-Key: a claim, and then the response."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Claim:
    """A key of a caller for a route, taken by this request.

    :param id: the digest of caller, method, path and key.
    :param fingerprint: the digest of what was sent.
    :param owner: this request, and no other.
    """

    id: str
    fingerprint: str
    owner: str


@dataclass(frozen=True)
class KeptResponse:
    """What is stored under a key.

    :param status: of the response; ``None`` while the first request runs.
    """

    fingerprint: str
    status: int | None = None
    headers: dict[str, str] | None = None
    body: str = ""


class ResponseStore(Protocol):
    """Where the kept responses of a model's routes are: in the store of its records."""

    def claim(self, claim: Claim, lease: float) -> KeptResponse | None:
        """Take a key for ``lease`` seconds.

        :returns: what is stored, when the key is taken already.
        """

    def keep(self, claim: Claim, response: KeptResponse, life: float) -> None:
        """Store a response for ``life`` seconds with the writes of this request.

        :raises Problem: 409, now or at the commit, when the claim was lost.
        """

    def release(self, claim: Claim) -> None:
        """Free a key."""
