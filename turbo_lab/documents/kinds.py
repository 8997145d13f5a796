"""Every kind of JSON document and the dataclass that describes it."""

from __future__ import annotations

from collections.abc import Mapping

from turbo_lab.documents.compare import CompareReport
from turbo_lab.documents.gate import GateCalibrated, GateMutation, GateReport
from turbo_lab.documents.golden import (
    GoldenAccepted,
    GoldenCalibration,
    GoldenCheck,
    GoldenInvariance,
    GoldenList,
    GoldenMutation,
    GoldenPruned,
    GoldenRecorded,
    GoldenRejected,
)
from turbo_lab.documents.history import HistoryRecorded, HistoryShown, HistorySimulated
from turbo_lab.documents.inspection import Diagnosis, ReferenceBuilt, Reproduction, ShownImage
from turbo_lab.documents.models import ModelList, ModelsFetched, ModelShown, ModelsVerified
from turbo_lab.documents.plan import PlanResult
from turbo_lab.documents.results import (
    BaselineList,
    BaselineSet,
    BaselineShown,
    ExportedSweep,
    GeneratedImages,
    ProjectStarted,
    SyncResult,
    WrittenReport,
)
from turbo_lab.documents.selection import SELECTION, Selection
from turbo_lab.documents.store import StoreCollected, StoreUsage, StoreVerified
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.documents.timing import BenchResult, PairResult
from turbo_lab.documents.upgrade import BisectReport, UpgradeReport

KINDS: Mapping[str, type] = {
    "plan": PlanResult,
    "sweep": SweepResult,
    "generate": GeneratedImages,
    "show": ShownImage,
    "bench": BenchResult,
    "bench pair": PairResult,
    "compare": CompareReport,
    "golden check": GoldenCheck,
    "golden record": GoldenRecorded,
    "golden accept": GoldenAccepted,
    "golden reject": GoldenRejected,
    "golden list": GoldenList,
    "golden prune": GoldenPruned,
    "golden calibrate": GoldenCalibration,
    "golden mutate": GoldenMutation,
    "golden invariance": GoldenInvariance,
    "gate": GateReport,
    "gate calibrate": GateCalibrated,
    "gate mutate": GateMutation,
    "baseline set": BaselineSet,
    "baseline list": BaselineList,
    "baseline show": BaselineShown,
    "history record": HistoryRecorded,
    "history show": HistoryShown,
    "history simulate": HistorySimulated,
    "reproduce": Reproduction,
    "report": WrittenReport,
    "export": ExportedSweep,
    SELECTION: Selection,
    "init": ProjectStarted,
    "reference build": ReferenceBuilt,
    "models list": ModelList,
    "models show": ModelShown,
    "models get": ModelsFetched,
    "models verify": ModelsVerified,
    "doctor": Diagnosis,
    "store verify": StoreVerified,
    "store du": StoreUsage,
    "store gc": StoreCollected,
    "sync": SyncResult,
    "upgrade": UpgradeReport,
    "bisect": BisectReport,
}
"""Dataclasses by the ``kind`` in the document: the command that prints it, or ``SELECTION``."""
