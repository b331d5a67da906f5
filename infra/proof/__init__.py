"""Proof: state made anew from the log, decisions made again and compared, each one explained."""
