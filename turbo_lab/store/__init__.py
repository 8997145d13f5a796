"""What is kept: the folder layout, records, locks and maintenance."""
