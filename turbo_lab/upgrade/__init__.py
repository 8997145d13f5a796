"""Upgrades: candidate versions in a separate environment, judged against this one.

Owns the environments, the processes that run in them, the comparison, and the search for the
version that changed something. Drawing and judging are those of goldens and gates.
"""
