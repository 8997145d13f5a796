"""Goldens: what a cell must reproduce, in layers, and what is said where it does not.

Owns the files of a golden, which tier a difference of environment leads to, and
the verdict. Pure: observations in, verdicts out; what drives a pipeline is in
:mod:`turbo_lab.trials`. A golden is written only by ``record`` and ``accept``.
"""
