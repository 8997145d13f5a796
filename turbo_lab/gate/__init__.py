"""The release gate: policy, checks, and the calibration and mutation of the gate itself."""

import sys

from turbo_lab import CallablePackage

sys.modules[__name__].__class__ = CallablePackage
