"""Strict JSON: the cost of a body, and numbers at the edge of a double."""

import time
from typing import Any

import pytest

from myapp.core.schema.strict_json import MAX_DEPTH, JSONRefused, loads

# Enough brackets for the depth check to read the body.
BRACKETS = b"[" + b"[]," * (MAX_DEPTH + 1)
# Endings that a scanner may read again and again.
ENDINGS = [b'"' + b'\\"', b'"' + b"\\\\", b'"x', b'""', b'"\\u0022', b"[]", b"{", b"1"]
SIZE, GROWTH = 4_000, 4


def seconds(body: bytes) -> float:
    """The least processor time to refuse a body."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        with pytest.raises(JSONRefused):
            loads(body)
        taken.append(time.process_time() - start)
    return min(taken)


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
def test_the_cost_of_a_body_grows_with_its_size(ending: bytes) -> None:
    first, part = ending[:1], ending[1:] or ending
    small, large = (BRACKETS + first + part * (SIZE * times) for times in (1, GROWTH))
    # A quadratic scan takes 16 times as long, and seconds.
    assert seconds(large) < 0.1 + 2 * GROWTH * seconds(small)


@pytest.mark.parametrize(
    "text", [b"0", b"-0", b"0.0", b"0e5", b"0.000e-999", b"5e-324"]
)
def test_a_number_that_a_double_holds_is_taken(text: bytes) -> None:
    value: Any = loads(text)
    assert value == float(text)


@pytest.mark.parametrize("text", [b"123e-10000000", b"1e-325", b"-0.1e-400", b"1e309"])
def test_a_number_that_would_become_another_is_refused(text: bytes) -> None:
    with pytest.raises(JSONRefused):
        loads(text)
