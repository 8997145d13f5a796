"""JSON documents: one frozen dataclass per object that a command prints or a page shows."""
