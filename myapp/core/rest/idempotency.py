"""Idempotency-Key: a retry gets the response of the first try, and writes nothing.

A key is claimed before the view function runs, in a transaction of its own, with a
lease. The response is stored in the transaction of the write, under the condition that
the claim still stands. So a worker may die at any point: either both are stored and a
retry gets the kept response, or neither is, and a retry after the lease runs the view
function again. Only successes are kept; after an error the key is free.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import uuid_utils
from flask import Response, current_app, request

from myapp.core.access.caller import caller_id
from myapp.core.errors.problem import Problem
from myapp.core.model.idempotency_store import Claim, KeptResponse, ResponseStore
from myapp.core.stores.transaction import in_transaction

KEY_PATTERN = r"^[\x21-\x7e]{1,255}$"
KEY = re.compile(KEY_PATTERN.replace("$", r"\Z"), re.ASCII)
# Longer than a request may take (harakiri in myapp.ini), in seconds.
LEASE = 30
# What a replay repeats of the headers.
KEPT_HEADERS = ("Content-Type", "ETag", "Location")


def respond_once(
    store: ResponseStore, view: Callable[..., Response], **kwargs: Any
) -> Response:
    """Call a view function in a transaction, or repeat the kept response to its key.

    :raises Problem: 400 for a malformed key, 409 while the first request runs, 422
        when the key came with another body.
    """
    claim = read_claim()
    kept = store.claim(claim, LEASE)
    if kept is not None:
        return replay(claim, kept)
    life = current_app.config["IDEMPOTENCY_TTL"]

    def keep(response: Response) -> None:
        store.keep(claim, kept_response(claim, response), life)

    try:
        response: Response = in_transaction(view, before_commit=keep, **kwargs)
    except Exception:
        store.release(claim)
        raise
    return response


def read_claim() -> Claim:
    """The claim that this request makes.

    :raises Problem: 400 when the key is not 1 to 255 visible characters.
    """
    key = request.headers["Idempotency-Key"]
    if not KEY.match(key):
        raise Problem("bad-request", "Idempotency-Key takes 1 to 255 ASCII characters.")
    scope = "\0".join((caller_id(), request.method, request.path, key))
    content = request.get_data() + request.mimetype.encode()
    conditions = repr(request.headers.get("If-Match")).encode()
    return Claim(
        id=hashlib.sha256(scope.encode()).hexdigest(),
        fingerprint=hashlib.sha256(content + b"\0" + conditions).hexdigest(),
        owner=str(uuid_utils.uuid7()),
    )


def kept_response(claim: Claim, response: Response) -> KeptResponse:
    """What is kept of a response."""
    headers = response.headers
    kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
    body = response.get_data(as_text=True)
    return KeptResponse(claim.fingerprint, response.status_code, kept, body)


def replay(claim: Claim, kept: KeptResponse) -> Response:
    """The kept response, marked as a repetition.

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
