"""What will run: the resolved sweep, its plan, the scheduler table and the forecast."""
