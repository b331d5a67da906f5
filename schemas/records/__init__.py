"""Every record of the tape, the journal and the compacted topics, as frozen structs."""
