"""Commands of accounts: ``flask users``, for the first admin and for emergencies."""

import sys
from datetime import UTC, datetime

import click
from flask import current_app
from flask.cli import AppGroup

from myapp.accounts import second_factor, service
from myapp.accounts.endpoints import blueprint
from myapp.accounts.factories import load_demo
from myapp.accounts.models import User, find_user, read_address
from myapp.accounts.passwords import check_password, hash_password, words_of
from myapp.core.errors import Problem
from myapp.core.model import Record
from myapp.core.query import ListQuery
from myapp.core.stores import commit

users = AppGroup("users", help="Users: create, list, set-role, set-password, disable.")
blueprint.record(lambda state: state.app.cli.add_command(users))


@blueprint.cli.command("seed")
def seed() -> None:
    """Load a user of each role, in development, unless there are users already."""
    if current_app.config["ENV"] == "production":
        click.echo("there are no demo users in production")
        return
    if User.list(ListQuery(limit=1)).items:
        click.echo("there are users already")
        return
    count = load_demo()
    commit()
    click.echo(f"loaded {count} users, with the password {service.DEMO_PASSWORD!r}")


def user_named(email: str) -> Record:
    """The user of an address.

    :raises click.ClickException: when there is none.
    """
    found = find_user(email)
    if found is None:
        raise click.ClickException(f"there is no user {email}")
    return found


def told(problem: Problem) -> click.ClickException:
    """A problem as a command tells it."""
    details = [error["detail"] for error in problem.errors]
    return click.ClickException("; ".join(details) or str(problem.description))


def ask_password(words: list[str]) -> str:
    """A password from the terminal, or the first line of the standard input; checked,
    and hashed."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    check_password(password, words, "")
    return hash_password(password)


@users.command("create")
@click.argument("email")
@click.option("--role", default="", help="One of ROLES; by default SIGN_UP_ROLE.")
@click.option("--name", default=None)
def create(email: str, role: str, name: str | None) -> None:
    """Create a user who can sign in. The password is asked for, or read from the
    standard input."""
    try:
        address = read_address(email)
        if find_user(address) is not None:
            raise click.ClickException(f"there is a user {address} already")
        hashed = ask_password(words_of(address, name))
        role = role or current_app.config["SIGN_UP_ROLE"]
        made = service.add_user(address, name, hashed, role, datetime.now(UTC))
    except Problem as problem:
        raise told(problem) from problem
    commit()
    click.echo(f"{made.id}  {address}  {role}")


@users.command("list")
@click.option("--role", default="", help="Those with a role.")
def show(role: str) -> None:
    """List users, the newest ones first, at most 100."""
    for user in User.list(ListQuery(limit=100, sort=User.queryable.newest)).items:
        if role in ("", user["role"]):
            verified = "" if user["verified_at"] else "  not verified"
            click.echo(f"{user['id']}  {user['email']}  {user['role']}{verified}")


@users.command("set-role")
@click.argument("email")
@click.argument("role")
def set_role(email: str, role: str) -> None:
    """Give a user another role, and sign it out everywhere."""
    try:
        service.set_role(user_named(email), role)
    except Problem as problem:
        raise told(problem) from problem
    commit()
    click.echo(f"{email}  {role}")


@users.command("set-password")
@click.argument("email")
def set_password(email: str) -> None:
    """Set the password of a user, verify its address, and sign it out everywhere."""
    user = user_named(email)
    try:
        hashed = ask_password(words_of(user["email"], user["name"]))
    except Problem as problem:
        raise told(problem) from problem
    service.set_password(user, hashed)
    commit()
    click.echo(f"{email}  has a new password")


@users.command("drop-second-factor")
@click.argument("email")
def drop_second_factor(email: str) -> None:
    """Turn the second factor of a user off, who has lost it, and sign it out."""
    second_factor.drop_factor(user_named(email))
    commit()
    click.echo(f"{email}  has no second factor")


@users.command("disable")
@click.argument("email")
def disable(email: str) -> None:
    """Disable a user: it is signed out everywhere, and cannot sign in."""
    try:
        service.set_role(user_named(email), current_app.config["ROLES"][0])
    except Problem as problem:
        raise told(problem) from problem
    commit()
    click.echo(f"{email}  is disabled")
