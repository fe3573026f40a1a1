"""Users whose address another server has verified, such as one of OpenID Connect."""

import secrets

from flask import current_app

from myapp.accounts import totp
from myapp.accounts.limits import trying
from myapp.accounts.models import find_user, read_address
from myapp.accounts.passwords import hash_password
from myapp.accounts.service import add_user, may_sign_in, set_password, write_user
from myapp.core.errors import Problem
from myapp.core.model import Record


def vouched_user(address: str, name: str | None) -> Record:
    """A new user with a verified address. It has no password until it sets one by a
    mailed link. An account that was never verified becomes its own: a password that a
    stranger may have chosen for it is of no use then.

    :raises Problem: 403 when it may not sign in; 409 when the address has a verified
        account; 422.
    """
    address = read_address(address)
    hashed, user = hash_password(secrets.token_urlsafe()), find_user(address)
    if user is None:
        user = add_user(address, name, hashed, current_app.config["SIGN_UP_ROLE"])
    elif user["verified_at"] is not None:
        raise Problem("conflict", "There is an account with this address.")
    else:
        user = write_user(user, name=name, email=address)
    set_password(user, hashed)
    if not may_sign_in(user):
        raise Problem("forbidden", "This account cannot sign in.")
    return user


def check_factor(user: Record, code: str | None) -> None:
    """Check the second factor of a user who has signed in elsewhere.

    :raises Problem: 401; 429.
    """
    with trying("sign-in", user["email"], user.id):
        totp.check_code(user, code)
