"""Untrusted input: confined names, regular files, no credentials."""
