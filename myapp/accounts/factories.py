"""Users for tests and for the demo."""

from datetime import UTC, datetime

from flask import current_app

from myapp.accounts import service
from myapp.accounts.passwords import hash_password
from myapp.core.model import Record

PASSWORD = "four ducks on a pond"


def create_user(
    email: str = "ada@mail.example",
    role: str = "readonly",
    password: str = PASSWORD,
    is_verified: bool = True,
) -> Record:
    """A stored user."""
    verified = datetime.now(UTC) if is_verified else None
    return service.add_user(email, None, hash_password(password), role, verified)


def load_demo() -> int:
    """Store a user for each role but the first one, such as ``editor@demo.example``.

    :returns: the number of users.
    """
    roles = current_app.config["ROLES"][1:]
    for role in roles:
        address = f"{role}{service.DEMO_DOMAIN}"
        create_user(address, role, service.DEMO_PASSWORD)
    return len(roles)
