"""A loopback Polymarket that behaves, and on request misbehaves, like the real one.

Run it alone with `python -m infra.sandbox --port 0 --seed 7`, or inside a test as
`async with Sandbox(SandboxSettings(seed=7)) as sandbox: ...`. It serves CLOB REST, the market, user
and activity sockets, Data API v2 and Gamma on one port of 127.0.0.1, and `/_sandbox/...` for
control and truth. It is the other side: nothing here imports the pipeline's connectors or flows.

Layers, purest first: hashing, books, orderbook, matching, ledger (values in, values out); venue,
which owns time and is driven by `advance(now_ms)`; leaders and strangers, who trade in it; index,
the lagging Data API; wire_*, the shapes; auth, faults, cache; http_*, sockets and server, the rim.
"""
