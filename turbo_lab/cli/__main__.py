"""``python -m turbo_lab.cli``."""

import sys

from turbo_lab.cli.main import main

sys.exit(main())
