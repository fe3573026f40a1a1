"""Mail, from the templates of a feature: ``send_mail(address, "carts/reminder",
name=...)``.

It is sent by a job: after the commit, again when the mail server is down, and not when
the request fails.
"""

from myapp.core.mail.send import (
    check_address,
    kept_mails,
    send_mail,
    send_mail_now,
)

__all__ = ["check_address", "kept_mails", "send_mail", "send_mail_now"]
