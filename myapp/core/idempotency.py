"""Idempotency-Key: a retry gets the answer of the first try, and writes nothing.

A key is claimed before the view runs, in a transaction of its own, with a lease. The
answer is stored in the transaction of the write, under the condition that the claim
still stands. So a worker may die at any point: either both are stored and a retry is
answered from there, or neither is, and a retry after the lease runs the view again.
Only successes are kept; after an error the key is free.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import uuid_utils
from flask import Response, current_app, request

from myapp.core.access import caller
from myapp.core.errors import Problem
from myapp.core.transaction import in_transaction

KEY_PATTERN = r"^[\x21-\x7e]{1,255}$"
KEY = re.compile(KEY_PATTERN.replace("$", r"\Z"), re.ASCII)
# Longer than a request may take (harakiri in myapp.ini), in seconds.
LEASE = 30
# What a replay repeats of the headers.
KEPT_HEADERS = ("Content-Type", "ETag", "Location")


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
class Kept:
    """What is stored under a key.

    :param status: of the answer; ``None`` while the first request runs.
    """

    fingerprint: str
    status: int | None = None
    headers: dict[str, str] | None = None
    body: str = ""


class AnswerStore(Protocol):
    """Where the answers of a model's routes are kept: beside its records."""

    def claim(self, claim: Claim, lease: float) -> Kept | None:
        """Take a key for ``lease`` seconds; what is there when it is taken already."""

    def keep(self, claim: Claim, answer: Kept, life: float) -> None:
        """Store an answer for ``life`` seconds with the writes of this request.

        :raises Problem: 409, now or at the commit, when the claim was lost.
        """

    def release(self, claim: Claim) -> None:
        """Give a key back."""


def answer_once(
    store: AnswerStore, view: Callable[..., Response], **kwargs: Any
) -> Response:
    """Call a view in a transaction, or repeat what it has answered to the same key.

    :raises Problem: 400 for a malformed key, 409 while the first request runs, 422
        when the key came with another body.
    """
    claim = read_claim()
    kept = store.claim(claim, LEASE)
    if kept is not None:
        return replay(claim, kept)
    life = current_app.config["IDEMPOTENCY_TTL"]

    def keep(response: Response) -> None:
        store.keep(claim, answer_of(claim, response), life)

    try:
        answer: Response = in_transaction(view, before_commit=keep, **kwargs)
    except Exception:
        store.release(claim)
        raise
    return answer


def read_claim() -> Claim:
    """The claim that this request makes.

    :raises Problem: 400 when the key is not 1 to 255 visible characters.
    """
    key = request.headers["Idempotency-Key"]
    if not KEY.match(key):
        raise Problem("bad-request", "Idempotency-Key takes 1 to 255 ASCII characters.")
    scope = "\0".join((caller(), request.method, request.path, key))
    content = request.get_data() + request.mimetype.encode()
    conditions = repr(request.headers.get("If-Match")).encode()
    return Claim(
        id=hashlib.sha256(scope.encode()).hexdigest(),
        fingerprint=hashlib.sha256(content + b"\0" + conditions).hexdigest(),
        owner=str(uuid_utils.uuid7()),
    )


def answer_of(claim: Claim, response: Response) -> Kept:
    """What is kept of a response."""
    headers = response.headers
    kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
    body = response.get_data(as_text=True)
    return Kept(claim.fingerprint, response.status_code, kept, body)


def replay(claim: Claim, kept: Kept) -> Response:
    """The answer that is kept, marked as a repetition.

    :raises Problem: 409 or 422.
    """
    if kept.fingerprint != claim.fingerprint:
        raise Problem("unprocessable", "This Idempotency-Key came with another body.")
    if kept.status is None:
        raise Problem(
            "conflict",
            "The first request with this Idempotency-Key is running.",
            headers={"Retry-After": str(current_app.config["RETRY_AFTER"])},
        )
    response = current_app.response_class(kept.body, kept.status, kept.headers)
    response.headers["Idempotent-Replayed"] = "true"
    return response
