-- No two heads are the same, as with real clients.
local count = 0

request = function()
   count = count + 1
   wrk.headers["X-Request-Id"] = tostring(count)
   return wrk.format()
end
