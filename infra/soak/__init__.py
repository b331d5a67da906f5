"""The soak: real processes and a real Kafka, killed at random while the sandbox trades.

`plan` draws the faults of a round from a seed; `faults` carries them out on a running pipeline;
`rounds` runs, judges and remembers rounds. `make soak KILLS=100`, or `python -m infra.soak`.
"""
