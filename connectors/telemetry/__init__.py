"""What a process says of itself while it runs: metrics, health, readiness and log lines.

Rim only. Pure parts expose numbers, drivers keep plain counts, and a scrape reads both: nothing is
measured on the way of a record but by adding one to a count.
"""
