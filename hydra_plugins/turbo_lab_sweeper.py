"""The sweeper, for Hydra to find: it looks only in this namespace package.

Hydra executes this module again at each start, so it may contain only a thin subclass.
"""

from turbo_lab.config import PlanSweeper


class TurboLabSweeper(PlanSweeper):
    """Sweeper that passes all points of a grid on at once."""
