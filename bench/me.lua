-- GET /accounts/me with the session $BENCH_COOKIE: the record of the user itself.
require "report"
wrk.path = "/accounts/me"
wrk.headers["Cookie"] = os.getenv("BENCH_COOKIE")
