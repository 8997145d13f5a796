"""Projection of sweeps into MLflow; the only package that imports it.

The store is the source and MLflow gets a copy, which can be made again at any time. A projection
adds nothing twice, completes runs that a killed projection left RUNNING, and never stops a sweep.
``settings`` owns the place, ``tracker`` the time, ``runs`` which runs there are, and ``cell_runs``,
``models`` and ``evaluation`` the content of those of cells. ``attachments`` come from the caller.
"""

from turbo_lab.planning.options import DEFAULT_EXPERIMENT as EXPERIMENT
from turbo_lab.tracking.projection import Attachments
from turbo_lab.tracking.settings import TrackingSettings
from turbo_lab.tracking.tracker import Tracker

__all__ = ["EXPERIMENT", "Attachments", "Tracker", "TrackingSettings"]
