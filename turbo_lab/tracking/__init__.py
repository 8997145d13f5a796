"""The projection of sweeps into MLflow: the only package that imports it.

The store is the truth and this is a copy: it can be made again at any time, adds
nothing twice, completes runs that a killed projection left RUNNING, and never
stops a sweep. ``settings`` says where to, ``tracker`` when, ``runs`` what.
"""

from turbo_lab.tracking.runs import EXPERIMENT
from turbo_lab.tracking.settings import TrackingSettings
from turbo_lab.tracking.tracker import Tracker

__all__ = ["EXPERIMENT", "Tracker", "TrackingSettings"]
