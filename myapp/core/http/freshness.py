"""Which reads must see every write: those of a client that has just written.

Its response sets a cookie for the time that a replica may be behind. A client that
keeps no cookies sends ``Cache-Control: no-cache`` (RFC 9111 section 5.2.1.4) instead.
"""

import math
import time

from flask import Flask, Response, current_app, request

from myapp.core.stores.state import request_state

COOKIE = "fresh_until"


def read_freshness() -> None:
    """Note whether the reads of this request must see every write."""
    state = request_state()
    if state.is_fresh:
        return
    sent = request.cookies.get(COOKIE, "")
    now, longest = time.time(), current_app.extensions["freshness"]
    is_valid = sent.isdecimal() and len(sent) < 16 and now < int(sent) <= now + longest
    state.is_fresh = is_valid or "no-cache" in request.cache_control


def send_freshness(response: Response) -> Response:
    """Let the next reads of a client that may have written see it, also when it got an
    error: the write may have been committed before."""
    if not request_state().reads_only:
        seconds = current_app.extensions["freshness"]
        until = str(math.floor(time.time()) + seconds)
        response.set_cookie(
            COOKIE,
            until,
            max_age=seconds,
            httponly=True,
            secure=request.is_secure,
            samesite="Lax",
        )
    return response


def init_app(app: Flask) -> None:
    """Let clients that have written see it, where a store has replicas."""
    behind = max(store.staleness(app) for store in app.extensions["stores"])
    if behind:
        # The cookie has whole seconds; half a second is for the way of the response.
        app.extensions["freshness"] = math.ceil(behind + 0.5)
        app.before_request(read_freshness)
        app.after_request(send_freshness)
