"""Idempotency-Key: a retry gets the response of the first try, and writes nothing.

The response is stored in the transaction of the write, under the key, which is unique.
So a worker may die, or a reply be lost, at any point: either both are stored and a
retry gets the kept response, or neither is, and a retry runs the view function. Of
several requests at once each runs the view function, and one commits; the others wait
for it, undo what they did, and get its response. Effects wait for the commit. Only
successes are kept; after an error the key is free.
"""

import hashlib
import re
import time
from collections.abc import Callable
from typing import Any

from flask import Response, current_app, request

from myapp.core.access.caller import caller_id
from myapp.core.errors.problem import Problem
from myapp.core.model.idempotency_store import (
    KeptResponse,
    KeyTaken,
    RequestKey,
    ResponseStore,
)
from myapp.core.stores.store import registered_stores
from myapp.core.stores.transaction import in_transaction

KEY_PATTERN = r"^[\x21-\x7e]{1,255}$"
KEY = re.compile(KEY_PATTERN.replace("$", r"\Z"), re.ASCII)
# Seconds to wait for a request that was first, and between two looks.
LONGEST_WAIT, LOOK_EVERY = 1.0, 0.01
# What a replay repeats of the headers.
KEPT_HEADERS = ("Content-Type", "ETag", "Location")


def respond_once(
    store: ResponseStore, view: Callable[..., Response], **kwargs: Any
) -> Response:
    """Call a view function in a transaction, or repeat the kept response to its key.

    :raises Problem: 400 for a malformed key, 422 when the key came with another body.
    """
    key = read_key()
    kept = store.find(key)
    if kept is not None:
        return replay(key, kept)
    life = current_app.config["IDEMPOTENCY_TTL"]

    def keep(response: Response) -> None:
        kept = kept_response(key, response)
        for one in registered_stores():
            one.guard(store, key, kept)
        store.keep(key, kept, life)

    try:
        response: Response = in_transaction(view, before_commit=keep, **kwargs)
    except Problem as problem:
        # The reason may be that another request with this key was first.
        kept = wait_for(
            store, key, LONGEST_WAIT if isinstance(problem, KeyTaken) else 0
        )
        if kept is None:
            if isinstance(problem, KeyTaken):
                seconds = str(current_app.config["RETRY_AFTER"])
                problem.extra_headers["Retry-After"] = seconds
            raise
        return replay(key, kept)
    return response


def wait_for(
    store: ResponseStore, key: RequestKey, seconds: float
) -> KeptResponse | None:
    """The response that another request keeps, which may be about to commit it in the
    second of two stores."""
    deadline = time.monotonic() + seconds
    while (kept := store.find(key)) is None and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
    return kept


def read_key() -> RequestKey:
    """The key of this request.

    :raises Problem: 400 when the key is not 1 to 255 visible characters.
    """
    text = request.headers["Idempotency-Key"]
    if not KEY.match(text):
        raise Problem("bad-request", "Idempotency-Key takes 1 to 255 ASCII characters.")
    scope = "\0".join((caller_id(), request.method, request.path, text))
    content = request.get_data() + request.mimetype.encode()
    conditions = repr(request.headers.get("If-Match")).encode()
    return RequestKey(
        id=hashlib.sha256(scope.encode()).hexdigest(),
        fingerprint=hashlib.sha256(content + b"\0" + conditions).hexdigest(),
        record=(request.view_args or {}).get("id", ""),
    )


def kept_response(key: RequestKey, response: Response) -> KeptResponse:
    """What is kept of a response."""
    headers = response.headers
    kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
    body = response.get_data(as_text=True)
    return KeptResponse(key.fingerprint, response.status_code, kept, body)


def replay(key: RequestKey, kept: KeptResponse) -> Response:
    """The kept response, marked as a repetition.

    :raises Problem: 422.
    """
    if kept.fingerprint != key.fingerprint:
        raise Problem("unprocessable", "This Idempotency-Key came with another body.")
    response = current_app.response_class(kept.body, kept.status, kept.headers)
    response.headers["Idempotent-Replayed"] = "true"
    return response
