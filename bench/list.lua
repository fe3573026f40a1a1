-- GET /catalog/movies/?limit=20, the newest 20.
require "report"
wrk.path = "/catalog/movies/?limit=20"
