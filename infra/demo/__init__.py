"""The demo: the whole pipeline on the sandbox venue, and a judge of what came out of it."""
