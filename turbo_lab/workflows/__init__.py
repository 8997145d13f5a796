"""What a user wants done, as functions: run a sweep, reproduce a record."""
