"""Storage: the folder layout, records, locks and maintenance."""
