"""A command line in, the points of its grid out; the only package that imports Hydra.

The steps, in order: shorthands of lists are spelled out (``words``), what Hydra would accept
silently is refused (``checks``), Hydra composes (``compose``), and the axes become points
(``grid``).
"""

from turbo_lab.config.compose import PlanSweeper, compose
from turbo_lab.config.grid import MAX_POINTS, GridPoint
from turbo_lab.config.keys import AXES, MORE_AXES, is_key, with_default_sweep
from turbo_lab.config.words import quoted

__all__ = [
    "AXES",
    "MAX_POINTS",
    "MORE_AXES",
    "GridPoint",
    "PlanSweeper",
    "compose",
    "is_key",
    "quoted",
    "with_default_sweep",
]
