"""Running a plan: workers that hold pipelines, and a driver that commits their batches.

Nothing here imports torch until there is work: a finished sweep is read from the store without
it.
"""
