"""For tests: a client that checks every response, and the conformance suite
that every resource runs: :class:`ResourceContract`."""

from myapp.core.testing.bad_input import BadInput
from myapp.core.testing.batches import Batches
from myapp.core.testing.browser import Tab
from myapp.core.testing.callers import ToyAuthenticator, by, calling
from myapp.core.testing.client import Client
from myapp.core.testing.conflicts import Conflicts
from myapp.core.testing.crud import Crud
from myapp.core.testing.jobs import run_jobs
from myapp.core.testing.patches import Patches
from myapp.core.testing.preconditions import Preconditions
from myapp.core.testing.properties import Properties
from myapp.core.testing.queries import Queries
from myapp.core.testing.retries import Retries
from myapp.core.testing.strangers import Strangers

__all__ = [
    "Client",
    "ResourceContract",
    "Tab",
    "ToyAuthenticator",
    "by",
    "calling",
    "run_jobs",
]


class ResourceContract(
    Crud,
    BadInput,
    Queries,
    Patches,
    Preconditions,
    Retries,
    Batches,
    Conflicts,
    Strangers,
    Properties,
):
    """The conformance suite: what a client may rely on, in every store.

    A subclass names a resource and gives two bodies; see
    :class:`~myapp.core.testing.case.ResourceCase`.
    """
