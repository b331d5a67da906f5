"""Pure parts of the export: how records become typed columns, and where a file begins and ends.

No Kafka, no Bytewax, no clock here; `archive` alone touches files.
"""
