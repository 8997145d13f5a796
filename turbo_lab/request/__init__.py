"""Requests by name, recipes by content, and the way from one to the other."""
