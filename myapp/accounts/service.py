"""What happens to accounts: sign-up, sign-in, changes, and the rules of roles.

No answer tells whether an address has an account, neither by its text nor by its time.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import current_app
from sqlalchemy import select

from myapp.accounts import jobs, links, totp
from myapp.accounts.limits import trying
from myapp.accounts.models import User, find_user, key_of_address, read_address
from myapp.accounts.passwords import (
    check_password,
    hash_password,
    is_outdated,
    is_password,
    words_of,
)
from myapp.accounts.sign_out import sign_out_everywhere
from myapp.accounts.tokens import drop_tokens
from myapp.core.access import current_caller
from myapp.core.errors import Problem, problem_at
from myapp.core.model import Record, unscoped
from myapp.core.stores import StaleRead
from myapp.core.stores.sql import sql

USERS = User.table()
#: The password of the demo users, and the domain of their addresses.
DEMO_PASSWORD = "only for this demo"
DEMO_DOMAIN = "@demo.example"
#: What else a reset does; :func:`myapp.accounts.door.when_reset` adds to it.
also_reset: list[Callable[[str], Any]] = []


def user_of(id: str) -> Record:
    """The user with an id, whoever calls; a problem, 404, when there is none."""
    with unscoped():
        return User.get_or_404(id)


def write_user(user: Record, **fields: Any) -> Record:
    """Change fields of a user, whoever calls."""
    with unscoped():
        return user.write(fields)


def sign_up(email: str, password: str, name: str | None) -> None:
    """Make an account that waits for its verification. For an address that has one, a
    mail says so; one that was never verified begins anew."""
    address = read_address(email)
    check_password(password, words_of(address, name), "/password")
    with trying("sign-up", address):
        hashed, user = hash_password(password), find_user(address)
    if user is not None and user["verified_at"] is not None:
        jobs.tell.later(user["email"], "exists")
        return
    if user is None:
        user = add_user(address, name, hashed, current_app.config["SIGN_UP_ROLE"])
    else:
        fields = {"password_hash": hashed, "name": name, "email": address}
        write_user(user, **fields)
    jobs.mail_link.later(user.id, links.VERIFY, address)


def add_user(
    address: str,
    name: str | None,
    password_hash: str,
    role: str,
    verified_at: datetime | None = None,
) -> Record:
    """Store a new user.

    :raises StaleRead: when another request has just stored one with this address.
    """
    body = {"email": address} | ({"name": name} if name else {})
    with unscoped():
        User.create_validator.check(body)
        document = User.new_document(body) | {
            "email_key": key_of_address(address),
            "password_hash": password_hash,
            "role": role,
            "verified_at": verified_at,
        }
        try:
            User.insert([document])
        except Problem as problem:
            if problem.slug != "conflict":
                raise
            raise StaleRead from problem
    return Record(User, document)


def sign_in(email: str, password: str, code: str | None = None) -> Record:
    """The user of an address and a password.

    :param code: of the second factor, for a user who has one.
    :raises Problem: 401, the same for every reason but the code; 429.
    """
    user = find_user(email)
    with trying("sign-in", email, user.id if user else ""):
        is_right = is_password(password, user["password_hash"] if user else None)
        if user is None or not is_right or not may_sign_in(user):
            raise Problem("unauthorized", "The address or the password is wrong.")
        totp.check_code(user, code)
    if is_outdated(user["password_hash"]):
        write_user(user, password_hash=hash_password(password))
    return user


def may_sign_in(user: Record) -> bool:
    """Whether a user is verified, not disabled, and in production not of the demo."""
    is_demo = user["email_key"].endswith(DEMO_DOMAIN)
    return (
        user["verified_at"] is not None
        and not jobs.is_disabled(user)
        and not (is_demo and current_app.config["ENV"] == "production")
    )


def verify(token: str, password: str) -> None:
    """Verify the address of an account. The password shows that the reader of the mail
    is who has signed up, and not another one with this address.

    :raises Problem: 422; 429.
    """
    link = links.find_link(token, links.VERIFY)
    user = user_of(link.user_id)
    prove_again(user, password)
    links.use_link(token, links.VERIFY)
    write_user(user, verified_at=datetime.now(UTC))


def prove(user: Record, password: str) -> None:
    """Check the password of a user who is known already.

    :raises Problem: 422.
    """
    if not is_password(password, user["password_hash"]):
        error = problem_at("/password", "is wrong", "password")
        raise Problem("unprocessable", "The password is wrong.", errors=[error])


def prove_again(user: Record, password: str) -> None:
    """Check the password of a user who has signed in; a wrong one counts as a try.

    :raises Problem: 422; 429.
    """
    with trying("sign-in", user["email"], user.id):
        prove(user, password)


def ask_for_reset(email: str) -> None:
    """Mail a link to reset the password, if the address has an account."""
    address = read_address(email)
    with trying("sign-up", address):
        jobs.mail_reset.later(key_of_address(address))


def reset_password(token: str, password: str) -> None:
    """Set the password of an account by a mailed link, and sign out everywhere.

    :raises Problem: 400 for a weak password; 422.
    """
    user = user_of(links.find_link(token, links.RESET).user_id)
    check_password(password, words_of(user["email"], user["name"]), "/password")
    links.use_link(token, links.RESET)
    set_password(user, hash_password(password))
    for act in also_reset:
        act(user.id)


def change_password(user: Record, old: str, new: str) -> None:
    """Set another password, and sign out everywhere.

    :raises Problem: 400 for a weak password; 422 for a wrong one; 429.
    """
    check_password(new, words_of(user["email"], user["name"]), "/new_password")
    with trying("sign-in", user["email"], user.id):
        prove(user, old)
    set_password(user, hash_password(new))
    jobs.tell.later(user["email"], "password")


def set_password(user: Record, hashed: str) -> None:
    """Set the password of a user, who has proven to be it, and sign out everywhere.

    :param hashed: the new password.
    """
    verified = user["verified_at"] or datetime.now(UTC)
    write_user(user, password_hash=hashed, verified_at=verified)
    links.drop_links(user.id)
    sign_out_everywhere(user)


def ask_for_email(user: Record, email: str, password: str) -> None:
    """Mail a link to a new address, and tell the old one.

    :raises Problem: 422 for a wrong password, or a text that is no address; 429.
    """
    address = read_address(email)
    prove_again(user, password)
    with trying("sign-up", address):
        jobs.mail_link.later(user.id, links.MOVE, address, jobs.stamp_of(user))
    jobs.tell.later(user["email"], "moving")


def change_email(token: str) -> None:
    """Give an account the address that its link was mailed to, and tell both.

    :raises Problem: 409 when another account has it; 422.
    """
    link = links.use_link(token, links.MOVE)
    user, other = user_of(link.user_id), find_user(link.address)
    if other is not None and other.id != user.id:
        if other["verified_at"] is not None:
            raise Problem("conflict", "Another account has this address.")
        with unscoped():
            other.delete()
    former = user["email"]
    write_user(user, email=link.address, email_key=key_of_address(link.address))
    links.drop_links(user.id)
    for address in (former, link.address):
        jobs.tell.later(address, "moved")


def delete_account(user: Record, password: str) -> None:
    """Delete the account of a user who asks for it.

    :raises Problem: 409 for the last superuser; 422 for a wrong password; 429.
    """
    prove_again(user, password)
    delete_user(user)
    jobs.tell.later(user["email"], "deleted")


def delete_user(user: Record) -> None:
    """Delete a user.

    :raises Problem: 409 for the last superuser.
    """
    protect_last(user)
    links.drop_links(user.id)
    drop_tokens(user.id)
    with unscoped():
        user.delete()
    user.document = {**user.document, "version": user.version + 1}
    sign_out_everywhere(user)


def set_role(user: Record, role: str) -> None:
    """Give a user another role, and sign it out everywhere.

    :raises Problem: 400 for an unknown role; 409 for the last superuser.
    """
    if role == user["role"]:
        return
    protect_last(user)
    write_user(user, role=role)
    if jobs.is_disabled(user):
        links.drop_links(user.id)
    sign_out_everywhere(user)


def protect_last(user: Record) -> None:
    """Refuse to change the last user with the highest role, also when two are changed
    at once: all their rows are locked until the end of this transaction.

    :raises Problem: 409.
    """
    highest = current_app.config["ROLES"][-1]
    if user["role"] != highest:
        return
    known = (
        select(USERS.c.id)
        .where(USERS.c.role == highest, USERS.c.verified_at.is_not(None))
        .order_by(USERS.c.id)
        .with_for_update()
    )
    if not set(sql.session.connection().scalars(known)) - {user.id}:
        raise Problem("conflict", f"This is the last user with the role {highest}.")


def check_manager(user: Record, role: str = "") -> None:
    """Refuse a caller who would change itself, a user with a higher role, or a user to
    a higher role than its own.

    :raises Problem: 403.
    """
    caller = current_caller()
    known = caller.roles if caller else frozenset()
    is_own = caller is not None and caller.id == user.id
    if is_own or user["role"] not in known or role and role not in known:
        raise Problem("forbidden", "You may change other users, up to your own role.")
