-- For wrk: POST a body of BODY_BYTES bytes. It is formatted once, since there is no request() here.
wrk.method = "POST"
wrk.body = string.rep("x", tonumber(os.getenv("BODY_BYTES")))
wrk.headers["Content-Type"] = "application/octet-stream"
