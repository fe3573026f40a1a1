"""Use the generated Python client with a running server:

PYTHONPATH=clients/python python clients/round_trip.py http://127.0.0.1:5000 \\
    editor@demo.example "only for this demo"
"""

import sys
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from uuid import uuid4

from myapp_client import AuthenticatedClient, Client
from myapp_client.api.accounts import get_me, post_my_tokens, post_session
from myapp_client.api.catalog_directors import create_director, delete_director
from myapp_client.api.catalog_movies import (
    batch_movies,
    create_movie,
    delete_movie,
    get_movie,
    get_movie_stats,
    list_movies,
    replace_movie,
    update_movie,
)
from myapp_client.models import (
    AccountSignInWrite,
    Director,
    DirectorWrite,
    Movie,
    MovieBatch,
    MovieBatchAnswer,
    MovieList,
    MoviePatch,
    MovieStats,
    MovieView,
    MovieWrite,
    Problem,
    TokenTold,
    TokenWrite,
    User,
)
from myapp_client.types import UNSET


def write_and_read(client: Client) -> None:
    """Create, read, change, replace and delete, with conditions."""
    made = create_director.sync(client=client, body=DirectorWrite(name="Agnès Varda"))
    assert isinstance(made, Director)
    body = MovieWrite(title="Vagabond", year=1985, director_id=made.id, price="7.50")
    movie = create_movie.sync(client=client, body=body)
    assert isinstance(movie, Movie) and movie.director_id == made.id
    found = get_movie.sync(movie.id, client=client, expand="director")
    assert isinstance(found, MovieView)
    assert isinstance(found.director, Director) and found.director.name == made.name
    changed = update_movie.sync(
        movie.id, client=client, body=MoviePatch(runtime=105), if_match='"1"'
    )
    assert isinstance(changed, Movie)
    assert (changed.runtime, changed.version, changed.price) == (105, 2, "7.50")
    stale = update_movie.sync_detailed(
        movie.id, client=client, body=MoviePatch(runtime=1), if_match='"1"'
    )
    assert stale.status_code == HTTPStatus.PRECONDITION_FAILED
    whole = MovieWrite(title="Sans toit ni loi", year=1985)
    replaced = replace_movie.sync(movie.id, client=client, body=whole)
    assert isinstance(replaced, Movie) and replaced.runtime is None
    delete_movie.sync(movie.id, client=client)
    gone = get_movie.sync(movie.id, client=client)
    assert isinstance(gone, Problem) and gone.type_ == "/problems/not-found"
    delete_director.sync(made.id, client=client)


def page_and_filter(client: Client) -> None:
    """A batch, filters, order and pages."""
    title = f"Round trip {uuid4()}"
    bodies = [MovieWrite(title=f"{title}, {n}", year=2000 + n) for n in range(5)]
    answer = batch_movies.sync(client=client, body=MovieBatch(create=bodies))
    assert isinstance(answer, MovieBatchAnswer) and len(answer.create) == 5
    years, cursor = [], UNSET
    while True:
        page = list_movies.sync(
            client=client,
            titleprefix=title,
            yeargte=2001,
            sort="-year",
            limit=3,
            cursor=cursor,
        )
        assert isinstance(page, MovieList)
        years += [movie.year for movie in page.items]
        if page.next_ is None:
            break
        cursor = page.next_
    assert years == [2004, 2003, 2002, 2001]
    stats = get_movie_stats.sync(client=client)
    assert isinstance(stats, MovieStats) and stats.films >= 5


def be_refused(client: Client) -> None:
    """The response to a wrong body is a problem with each error."""
    wrong = MovieWrite(title="", year=1700)
    problem = create_movie.sync(client=client, body=wrong)
    assert isinstance(problem, Problem) and problem.status == 400
    pointers = [error.pointer for error in problem.errors or []]
    assert pointers == ["/title", "/year"]


def sign_in(client: Client, email: str, password: str) -> None:
    """Sign in; the client keeps the cookie of the session."""
    user = post_session.sync(
        client=client, body=AccountSignInWrite(email=email, password=password)
    )
    assert isinstance(user, User) and user.email == email


def call_with_a_token(client: Client, base: str) -> None:
    """Make a personal token, and write with it alone."""
    end = datetime.now(timezone.utc) + timedelta(days=1)
    body = TokenWrite(name="Trip", scopes=["catalog:write"], expires_at=end)
    made = post_my_tokens.sync(client=client, body=body)
    assert isinstance(made, TokenTold)
    with AuthenticatedClient(base_url=base, token=made.token) as mine:
        written = create_director.sync(client=mine, body=DirectorWrite(name="A. Token"))
        assert isinstance(written, Director)
        delete_director.sync(written.id, client=mine)
        refused = get_me.sync(client=mine)
    assert isinstance(refused, Problem) and refused.status == 403


if __name__ == "__main__":
    base, email, password = sys.argv[1:]
    # A write with a session says that it comes from the server's own origin.
    with Client(
        base_url=base, headers={"Origin": base}, raise_on_unexpected_status=True
    ) as api:
        sign_in(api, email, password)
        write_and_read(api)
        page_and_filter(api)
        be_refused(api)
        call_with_a_token(api, base)
    print("all is well")
