-- POST /catalog/movies/ with the body $BENCH_BODY.
require "report"
wrk.method = "POST"
wrk.path = "/catalog/movies/"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Cookie"] = os.getenv("BENCH_COOKIE")
wrk.headers["Sec-Fetch-Site"] = "same-origin"
