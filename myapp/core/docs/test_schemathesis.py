"""The OpenAPI document is true: Schemathesis sends requests that it allows and requests
that it forbids, and runs all its checks on every response."""

import re
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.engine import Status, events, from_schema

from conftest import SERVERS
from myapp.core.access.caller import Authenticator, authenticators_of
from myapp.core.http.app import App
from myapp.core.rest.etags import TAGS_PATTERN
from myapp.core.schema.strict_json import MAX_INTEGER
from myapp.core.testing.callers import CHALLENGE, ToyAuthenticator, by

EXAMPLES = 30
CONFIG: dict[str, Any] = {
    "seed": 1,
    # A caller who may do everything.
    "headers": by("root", "superuser"),
    # NUL is refused everywhere, but not by a schema.
    "generation": {"max-examples": EXAMPLES, "allow-x00": False},
    "checks": {
        # A body that a schema allows may still conflict with stored records (409, 412,
        # 422), or be too large (413).
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "304", "404", "409", "412", "413", "422"]
        },
        # A precondition may fail before the body is checked.
        "negative_data_rejection": {
            "expected-statuses": [
                *("400", "404", "405", "409", "412", "413", "415", "422")
            ]
        },
    },
    "operations": [
        {
            # No schema tells which password is weak, or wrong.
            "include-path-regex": "^/accounts/(sign-up|session|.*password.*)",
            "checks": {
                "positive_data_acceptance": {
                    "expected-statuses": ["2xx", "400", "401", "404", "422"]
                }
            },
        },
        {
            # No page of this server sends it.
            "include-path-regex": "^/openid/confirmation",
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ["403"]},
                "negative_data_rejection": {"expected-statuses": ["403", "405"]},
            },
        },
        {
            # No schema tells which redirect URI is one; and this caller is no user.
            "include-path-regex": "^/oauth/clients",
            "checks": {
                "positive_data_acceptance": {
                    "expected-statuses": [
                        *("2xx", "304", "400", "403", "404", "409", "412", "422")
                    ]
                }
            },
        },
    ],
}
# Schemathesis knows the syntax of this header, but not together with a pattern.
schemathesis.openapi.format(
    "entity-tags", st.from_regex(re.compile(TAGS_PATTERN, re.ASCII), fullmatch=True)
)


@schemathesis.hook
def filter_body(_context: Any, body: Any) -> bool:
    """Integers beyond 64 bits are refused everywhere, but not by a schema."""
    if isinstance(body, dict):
        return all(filter_body(_context, value) for value in body.values())
    if isinstance(body, list):
        return all(filter_body(_context, value) for value in body)
    return not isinstance(body, (int, float)) or abs(body) <= MAX_INTEGER


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Schemathesis cannot sign a cursor, so only its negative cases keep one; the
    conformance suite tests valid cursors."""
    if case.meta and case.meta.generation.mode.is_positive and case.query:
        case.query.pop("cursor", None)


def failures(event: events.ScenarioFinished) -> list[str]:
    """The failures of one scenario, each with its request."""
    found = []
    for id, checks in event.recorder.checks.items():
        for check in checks:
            if check.status is not Status.SUCCESS and check.failure_info:
                failure, sent = check.failure_info.failure, check.failure_info
                label = event.recorder.cases[id].value.operation.label
                found.append(
                    f"{event.phase.value}: {label}: {check.name}: {failure.title}\n"
                    f"{failure.message}\n{sent.code_sample}"[:2000]
                )
    return found


# The conformance suite runs on every engine; these thousands of requests on one.
@pytest.mark.parametrize("servers", SERVERS[-1:], indirect=True, scope="session")
@pytest.mark.external
def test_schemathesis_finds_nothing(own_app: App, live_server: str) -> None:
    # One way to say who calls, which no route can end; the checks leave it out, and
    # send another one.
    scheme = {"type": "apiKey", "in": "header", "name": "Authorization"}
    toy = Authenticator("toy", ToyAuthenticator().authenticate, scheme, CHALLENGE)
    authenticators_of(own_app)[:] = [toy]
    own_app.config["SIGN_IN_LIMIT"] = own_app.config["SIGN_UP_LIMIT"] = "100000/1"
    config = schemathesis.Config.from_dict(CONFIG)
    # Its check of authentication cannot send requests through WSGI.
    url = f"{live_server}/openapi.json"
    schema = schemathesis.openapi.from_url(url, config=config)
    found: list[str] = []
    cases: dict[str, int] = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            found += failures(event)
            phase = event.phase.value
            cases[phase] = cases.get(phase, 0) + len(event.recorder.cases)
        assert not isinstance(event, (events.NonFatalError, events.FatalError)), event
    assert found == []
    # Each phase has run test cases.
    assert min(cases.get(name, 0) for name in ("examples", "stateful")) > 20, cases
    assert min(cases.get(name, 0) for name in ("coverage", "fuzzing")) > 500, cases
