"""What the terminal shows: tables and verdicts as text."""
