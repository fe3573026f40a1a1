"""The codes of the second factor: those of an authenticator app (TOTP, RFC 6238), each
of which works once, and recovery codes for the day on which the app is lost."""

import hashlib
import secrets
import time
from typing import Any

import pyotp
from flask import current_app, g

from myapp.core.errors import Problem, problem_at
from myapp.core.model import Record, unscoped
from myapp.core.stores.redis import RedisKeys

CODE = {"type": "string", "minLength": 6, "maxLength": 20}
# Seconds that a code is shown; the one before and the one after count, too, since
# clocks differ (RFC 6238 section 5.2).
STEP = 30
NEIGHBOURS = (0, -1, 1)
RECOVERY_CODES = 10
# The bytes of half a recovery code.
HALF = 4

keys = RedisKeys("second-factor")


def new_secret() -> str:
    """A secret of 160 bits, as RFC 4226 section 4 recommends."""
    return pyotp.random_base32()


def uri_of(secret: str, email: str) -> str:
    """What an app reads from a QR code."""
    totp = pyotp.TOTP(secret, name=email, issuer=current_app.name)
    return totp.provisioning_uri()


def new_recovery_codes() -> list[str]:
    """Codes that nobody can guess, in two halves that are easy to read."""
    halves = [secrets.token_hex(HALF) for _ in range(2 * RECOVERY_CODES)]
    return [f"{one}-{two}" for one, two in zip(halves[::2], halves[1::2])]


def digest_of_code(code: str) -> str:
    """What is stored of a recovery code."""
    return hashlib.sha256(code.strip().lower().encode()).hexdigest()


def step_of(secret: str, code: str) -> int | None:
    """The number of the step of a code; ``None`` when it is wrong."""
    now = int(time.time()) // STEP
    for step in (now + one for one in NEIGHBOURS):
        shown = pyotp.TOTP(secret).generate_otp(step)
        if secrets.compare_digest(shown.encode(), code.encode()):
            return step
    return None


def is_first_use(secret: str, step: int) -> bool:
    """Whether nobody has used the code of a step before. One request may ask again,
    when its view function runs again."""
    used, name = g.setdefault("codes_used", set()), digest_of_code(f"{secret} {step}")
    if name not in used:
        if keys.count(name, seconds=STEP * (len(NEIGHBOURS) + 1)) > 1:
            return False
        used.add(name)
    return True


def check_code(user: Record, code: str | None) -> None:
    """Check the second factor of a user at a sign-in, if it has one. A recovery code is
    gone then.

    :raises Problem: 401.
    """
    if user["totp_secret"] is None:
        return
    if code is None:
        raise refusal("is needed", "The code of your authenticator app is needed.")
    step = step_of(user["totp_secret"], code.strip())
    if step is not None and is_first_use(user["totp_secret"], step):
        return
    left: list[Any] = user["recovery_codes"] or []
    digest = digest_of_code(code)
    if digest not in left:
        raise refusal("is wrong, or was used before", "The code is wrong.")
    with unscoped():
        user.write({"recovery_codes": [one for one in left if one != digest]})


def check_new_code(user: Record, code: str) -> None:
    """Check the first code of a new secret.

    :raises Problem: 422.
    """
    secret = user["totp_waits"]
    step = step_of(secret, code.strip()) if secret else None
    if step is None or not is_first_use(secret, step):
        error = problem_at("/code", "is wrong, or was used before", "code")
        raise Problem("unprocessable", "The code is wrong.", errors=[error])


def refusal(detail: str, sentence: str) -> Problem:
    """The problem of a sign-in with a right password, and without a right code."""
    return Problem(
        "unauthorized", sentence, errors=[problem_at("/code", detail, "code")]
    )
