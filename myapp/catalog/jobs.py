"""The jobs of the catalog: a report on request, and a digest each night."""

import logging
from datetime import UTC, datetime, time, timedelta
from typing import Any

from flask import current_app

from myapp.catalog.service import changed_movies, movie_report
from myapp.core.errors import Problem
from myapp.core.jobs import cron, current_job, job
from myapp.core.mail import send_mail

log = logging.getLogger(__name__)


@job
def report(mail_to: str | None) -> dict[str, Any]:
    """Go through all films.

    :param mail_to: the address that gets the report, too.
    :returns: the figures of :func:`~myapp.catalog.service.movie_report`.
    """
    found = movie_report(current_job().progress)
    if mail_to is not None:
        send_mail(mail_to, "catalog/report", report=found)
    return found


@cron("15 0 * * *")
@job
def digest() -> int:
    """Mail the films that were added or changed yesterday, by the clock of UTC, to the
    addresses in ``CATALOG_DIGEST_TO``.

    :returns: how many films there are in it; a digest of none is not sent.
    """
    addresses = current_app.config["CATALOG_DIGEST_TO"]
    today = datetime.combine(datetime.now(UTC), time(), UTC)
    yesterday = today - timedelta(days=1)
    movies = changed_movies(yesterday, today) if addresses else []
    for address in addresses if movies else ():
        values = {"day": yesterday.date().isoformat(), "movies": movies}
        try:
            send_mail(address, "catalog/digest", **values)
        except Problem as problem:
            log.error("CATALOG_DIGEST_TO: %s", problem.description)
    return len(movies)
