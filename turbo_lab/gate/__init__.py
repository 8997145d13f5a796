"""May this release go out: policy, checks, and the gate's own calibration and mutation."""
