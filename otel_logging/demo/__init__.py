"""The demonstration: a small but real voice service, a worker, and a caller that plays Twilio.

`server/` is an application that knows nothing of otel-logging; the other modules start it under
`otel-logging run --local`, call it, and count what it logged. Nobody imports from here.
"""
