"""The resolved sweep, its plan, the shared work, the scheduler table and the forecast."""
