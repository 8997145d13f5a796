"""The work of each command, as functions that print nothing: run a sweep, reproduce a record."""
