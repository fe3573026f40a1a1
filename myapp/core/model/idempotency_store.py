"""What a store holds for an Idempotency-Key: a claim, and then the kept response."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Claim:
    """The claim of this request on an Idempotency-Key.

    :param id: the digest of caller, method, path and key.
    :param fingerprint: the digest of the request.
    :param owner: an id of this request alone.
    """

    id: str
    fingerprint: str
    owner: str


@dataclass(frozen=True)
class KeptResponse:
    """The kept response of a key, or the claim of the request that still runs.

    :param status: the status of the response; ``None`` while the first request runs.
    """

    fingerprint: str
    status: int | None = None
    headers: dict[str, str] | None = None
    body: str = ""


class ResponseStore(Protocol):
    """Stores the kept responses of a model's routes, in the store of its records."""

    def claim(self, claim: Claim, lease: float) -> KeptResponse | None:
        """Claim a key for ``lease`` seconds.

        :returns: the stored response or claim, when the key is already claimed.
        """

    def keep(self, claim: Claim, response: KeptResponse, life: float) -> None:
        """Store a response for ``life`` seconds with the writes of this request.

        :raises Problem: 409, now or at the commit, when another request has the claim.
        """

    def release(self, claim: Claim) -> None:
        """Give up the claim of a key."""
