"""Polymarket as this project reads it: frames and answers decoded, books mirrored, feeds watched.

Two kinds of module. Cores (wire_*, book, book_hash, conflate, session, activity, user, fills,
moves, own_fills, metadata, throttle, backoff) take values and a time and give values; they do no
I/O. Drivers (rest, socket, outbox) move bytes and decide nothing.
"""
