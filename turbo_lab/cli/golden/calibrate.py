"""``turbo-lab golden calibrate``: measure the thresholds of T1 and T2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from turbo_lab.cli.golden.options import case_resolver, only_overrides
from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.golden import GoldenCalibration, ThresholdProvenance
from turbo_lab.documents.output import print_document
from turbo_lab.environment import Keys, package_version
from turbo_lab.golden.library import open_library, open_own_library

if TYPE_CHECKING:
    from turbo_lab.trials.golden_calibration import Calibration


@click.command("calibrate")
@click.option("--write", is_flag=True, help="Store them as the thresholds of these goldens.")
@json_option
@config_dir_option
@words_argument()
def command(words: tuple[str, ...], write: bool, as_json: bool) -> int:
    """Measure thresholds from harmless changes.

    Runs every case under changes that must not raise an alarm, such as another thread count,
    and sets each threshold above the largest difference. Without --write, the exit code is 1
    if a stored threshold is far above what is measured now.
    """
    from turbo_lab.golden.embedding import image_embedding
    from turbo_lab.golden.thresholds import library_thresholds, write_thresholds
    from turbo_lab.trials.golden_calibration import calibrate, load_cases

    library = open_own_library() if write else open_library()
    cases = load_cases(library, case_resolver(only_overrides(words)))
    # Thresholds that are about to be replaced are not checked for looseness.
    stored = None if write else library_thresholds(library)
    calibration = calibrate(cases, image_embedding(), stored)
    provenance = _provenance(calibration, cases[0].case.sweep.fingerprint.keys)
    if write:
        write_thresholds(library, calibration.thresholds, provenance)
    if as_json:
        result = GoldenCalibration(calibration.loose, calibration.thresholds, provenance)
        print_document("golden calibrate", result)
    else:
        from turbo_lab.report.text.golden import print_calibration

        print_calibration(calibration)
    return 1 if calibration.loose else 0


def _provenance(calibration: Calibration, keys: Keys) -> ThresholdProvenance:
    from turbo_lab.golden.thresholds import RATCHET, SAFETY

    return ThresholdProvenance(
        safety=SAFETY,
        ratchet=RATCHET,
        cases=calibration.cases,
        by_change=calibration.by_change,
        identical=calibration.exact,
        keys=keys,
        packages={name: package_version(name) for name in ("torch", "diffusers")},
    )
