"""Projection of sweeps into MLflow; the only package that imports it.

The store is the source and MLflow gets a copy, which can be made again at any time. A projection
adds nothing twice, completes runs that a killed projection left RUNNING, and never stops a sweep.
``settings`` owns the place, ``tracker`` the time, and ``runs`` the content.
"""

from turbo_lab.tracking.runs import EXPERIMENT
from turbo_lab.tracking.settings import TrackingSettings
from turbo_lab.tracking.tracker import Tracker

__all__ = ["EXPERIMENT", "Tracker", "TrackingSettings"]
