"""Tables and verdicts as text for the terminal."""
