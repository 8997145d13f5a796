"""``python -m turbo_lab.cli``."""

from turbo_lab.cli.main import run

run()
