"""turbo-lab from Python: run, compare, gate and read results.

The names here are those of :mod:`turbo_lab` itself. Importing it imports no torch, diffusers or
MLflow: they are imported when something is drawn or tracked.
"""

from turbo_lab.api.results import Comparison, Gate, Sweep
from turbo_lab.api.run import compare, gate, sweep
from turbo_lab.api.store import ResultStore, open_store

__all__ = ["sweep", "compare", "gate", "open_store", "Sweep", "Comparison", "Gate", "ResultStore"]
