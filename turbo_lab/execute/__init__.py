"""Running a plan: workers that hold pipelines, a driver that commits what they make.

Nothing here imports torch until there is work: a finished sweep is read from
the store without it.
"""
