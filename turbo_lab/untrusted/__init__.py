"""What other people wrote and may read: confined names, regular files, no credentials."""
