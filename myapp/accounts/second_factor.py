"""How a user turns the second factor on and off."""

from myapp.accounts import jobs, totp
from myapp.accounts.limits import trying
from myapp.accounts.service import prove_again, write_user
from myapp.accounts.sign_out import sign_out_everywhere
from myapp.core.model import Record


def ask_for_factor(user: Record, password: str) -> Record:
    """Give a user a secret for a second factor, which a code confirms.

    :raises Problem: 422 for a wrong password; 429.
    """
    prove_again(user, password)
    return write_user(user, totp_waits=totp.new_secret())


def confirm_factor(user: Record, code: str) -> list[str]:
    """Turn the second factor of a user on, and sign out everywhere.

    :returns: the recovery codes, which are not told again.
    :raises Problem: 422 for a wrong code; 429.
    """
    with trying("sign-in", user["email"], user.id):
        totp.check_new_code(user, code)
    codes = totp.new_recovery_codes()
    write_user(
        user,
        totp_secret=user["totp_waits"],
        totp_waits=None,
        recovery_codes=[totp.digest_of_code(one) for one in codes],
    )
    sign_out_everywhere(user)
    jobs.tell.later(user["email"], "factor")
    return codes


def drop_factor(user: Record) -> None:
    """Turn the second factor of a user off, and sign out everywhere."""
    write_user(user, totp_secret=None, totp_waits=None, recovery_codes=None)
    sign_out_everywhere(user)
    jobs.tell.later(user["email"], "factor")
