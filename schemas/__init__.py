"""The words of truecopy: units, records, order life, codec, settings.

Floor 0: no clock, no chance, no I/O but reading settings files.
"""
