"""Trials: experiments that test the goldens themselves.

One module per question: how far harmless changes move a case (calibration), which faults are
caught (mutation), and whether the same work, done in two ways, gives the same result
(invariance).
"""
