"""Topics shown to people: records in human units, filters, what stands on a broker and how far."""
