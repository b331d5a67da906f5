"""The execution sink: at most one signed order for each requested one, and proof of its end.

The only place that reads the signing key. The tape is its lock and its ledger; it decides nothing
about what to trade.
"""
