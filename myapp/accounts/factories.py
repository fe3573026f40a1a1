"""Users for tests and for the demo."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import current_app
from sqlalchemy import update

from myapp.accounts import links, service
from myapp.accounts.models import PersonalToken, User
from myapp.accounts.passwords import hash_password
from myapp.core.model import Record
from myapp.core.stores.sql import write

PASSWORD = "four ducks on a pond"


def create_user(
    email: str = "ada@mail.example",
    role: str = "readonly",
    password: str = PASSWORD,
    is_verified: bool = True,
    totp_secret: str | None = None,
) -> Record:
    """A stored user.

    :param totp_secret: of a second factor.
    """
    verified = datetime.now(UTC) if is_verified else None
    user = service.add_user(email, None, hash_password(password), role, verified)
    return service.write_user(user, totp_secret=totp_secret) if totp_secret else user


def create_reset_link(user: Record) -> str:
    """The token of a link that sets another password of a user."""
    return links.make_link(user.id, links.RESET, user["email"])


def let_tokens_expire() -> None:
    """Let all personal tokens be over."""
    write(update(PersonalToken).values(expires_at=datetime.now(UTC)))


def record_for_matrix(
    ids: Mapping[str, str], roles: Mapping[str, str], _model: Any
) -> Record:
    """Store the callers of ``myapp/test_matrix.py`` as users, unless they are stored.

    :param ids: their ids, by their names.
    :param roles: their roles; one without a role is nobody.
    :returns: the owner.
    """
    known = {one["id"] for one in User.read(list(ids.values()))}
    for name, role in roles.items():
        if role and ids[name] not in known:
            user = create_user(f"{name}@mail.example", role)
            write(update(User).where(User.id == user.id).values(id=ids[name]))
    return User.get_or_404(ids["owner"])


def load_demo() -> int:
    """Store a user for each role but the first one, such as ``editor@demo.example``.

    :returns: the number of users.
    """
    roles = current_app.config["ROLES"][1:]
    for role in roles:
        address = f"{role}{service.DEMO_DOMAIN}"
        create_user(address, role, service.DEMO_PASSWORD)
    return len(roles)
