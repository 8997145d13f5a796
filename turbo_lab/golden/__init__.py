"""Goldens: stored cases that a pipeline must reproduce, compared stage by stage.

Owns the files of a golden, the tier that a difference of environment leads to, the
verdict, and running a case. Only ``record`` and ``accept`` write a golden.
"""
