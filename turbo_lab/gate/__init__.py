"""The release gate: policy, checks, and the calibration and mutation of the gate itself."""
