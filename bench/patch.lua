-- PATCH /catalog/movies/<id>, over many ids; the runtime always differs.
require "report"
local next_id = require "ids"
local count = 0
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Cookie"] = os.getenv("BENCH_COOKIE")
wrk.headers["Sec-Fetch-Site"] = "same-origin"

function request()
   count = count + 1
   local body = string.format('{"runtime": %d}', count % 997 + 1)
   return wrk.format("PATCH", "/catalog/movies/" .. next_id(), nil, body)
end
