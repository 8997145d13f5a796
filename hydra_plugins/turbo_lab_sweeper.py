"""Where Hydra finds our sweeper: it looks in this namespace package only.

Hydra executes this module anew at each start, so that nothing but a thin
subclass may live here.
"""

from turbo_lab.config import PlanSweeper


class TurboLabSweeper(PlanSweeper):
    """Hands the whole grid to the planner."""
