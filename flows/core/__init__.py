"""The decisions: pure functions over tape records. No clock, chance, I/O, logging, engine, floats.

Each step of the dataflow is three functions over one state: `observe(state, offset, record)` folds
what the world said, `decide(state, offset, record)` yields events without changing the state, and
`evolve(state, event)` is the only way a decision enters it. A rebuild replaces decide by the
journal's own events and lands in the same state.
"""

RULES = 3
"""Version of the decisions; it rises with any change of journal bytes (see CHANGELOG)."""
