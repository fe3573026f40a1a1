"""The description is true: Schemathesis sends what it allows and what it forbids, and
holds every answer against it, with every check that it has."""

import re
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.engine import Status, events, from_schema

from myapp.core.http.app import App
from myapp.core.rest.etags import TAGS_PATTERN
from myapp.core.schema.strict_json import MAX_INTEGER

EXAMPLES = 30
CONFIG: dict[str, Any] = {
    "seed": 1,
    # NUL is refused everywhere; no schema says so.
    "generation": {"max-examples": EXAMPLES, "allow-x00": False},
    "checks": {
        # What a schema allows may still contradict what is stored (409, 412, 422), or
        # be too large as a whole (413).
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "304", "404", "409", "412", "413", "422"]
        },
        # A precondition may fail before the body is looked at.
        "negative_data_rejection": {
            "expected-statuses": [
                *("400", "404", "405", "409", "412", "413", "415", "422")
            ]
        },
    },
}
# It knows the syntax of this header, but not together with a pattern.
schemathesis.openapi.format(
    "entity-tags", st.from_regex(re.compile(TAGS_PATTERN, re.ASCII), fullmatch=True)
)


@schemathesis.hook
def filter_body(_context: Any, body: Any) -> bool:
    """Integers beyond 64 bits are refused everywhere; no schema says so."""
    if isinstance(body, dict):
        return all(filter_body(_context, value) for value in body.values())
    if isinstance(body, list):
        return all(filter_body(_context, value) for value in body)
    return not isinstance(body, (int, float)) or abs(body) <= MAX_INTEGER


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """No schema tells which cursors were signed here, so that only bad ones are made
    up; good ones are followed by the conformance suite."""
    if case.meta and case.meta.generation.mode.is_positive and case.query:
        case.query.pop("cursor", None)


def failures(event: events.ScenarioFinished) -> list[str]:
    """What one scenario has found, with the request that shows it."""
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


@pytest.mark.external
def test_schemathesis_finds_nothing(own_app: App) -> None:
    config = schemathesis.Config.from_dict(CONFIG)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", own_app, config=config)
    found: list[str] = []
    cases: dict[str, int] = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            found += failures(event)
            phase = event.phase.value
            cases[phase] = cases.get(phase, 0) + len(event.recorder.cases)
        assert not isinstance(event, (events.NonFatalError, events.FatalError)), event
    assert found == []
    # Each phase has done its work.
    assert min(cases.get(name, 0) for name in ("examples", "stateful")) > 20, cases
    assert min(cases.get(name, 0) for name in ("coverage", "fuzzing")) > 500, cases
