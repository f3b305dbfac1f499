-- Drives one server with the one request of $SERVING_BODY, and ends with a line
-- of JSON that run.py reads. Nothing runs per request: wrk repeats the same bytes.
local file = assert(io.open(assert(os.getenv("SERVING_BODY")), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
file:close()

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '\nRESULT {"requests": %d, "microseconds": %d, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
      errors.connect + errors.read + errors.write + errors.timeout))
end
