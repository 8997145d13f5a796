"""Trials: experiments that test the goldens and the gate themselves.

One module per question: how far harmless changes move a case (calibration), which
injected faults are caught (mutation), and whether equal work done in two ways gives
the same result (invariance).
"""
