-- GET /catalog/movies/<id>, over many ids.
require "report"
local next_id = require "ids"

function request()
   return wrk.format("GET", "/catalog/movies/" .. next_id())
end
