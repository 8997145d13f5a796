"""Trials: what drives a pipeline in order to judge it, or to judge the judges.

One module a question: does a case still give its golden (``check``), how far do
harmless changes move it (``calibrate``), which faults would be seen
(``mutate``), and what must not matter (``invariance``).
"""
