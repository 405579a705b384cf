# SPDX-License-Identifier: Apache-2.0
"""Calibrated probabilities, alarms with a guaranteed false-alarm rate, drift warnings."""

from salus_core.calibration.adaptive import AdaptiveThreshold
from salus_core.calibration.band import (
    ConformalBand,
    FalseAlarmRate,
    false_alarm_rate,
    fewest_episodes,
    smallest_alpha,
)
from salus_core.calibration.cross_conformal import (
    CrossConformal,
    Threshold,
    running_peaks,
    threshold_from_dict,
)
from salus_core.calibration.drift import DriftMonitor, DriftReference
from salus_core.calibration.probabilities import (
    CALIBRATIONS,
    IsotonicCalibration,
    ProbabilityCalibration,
    ScalingCalibration,
    calibration_from_dict,
    fit_calibration,
)
from salus_core.calibration.split import band_part, calibration_split

__all__ = [
    "CALIBRATIONS",
    "AdaptiveThreshold",
    "ConformalBand",
    "CrossConformal",
    "DriftMonitor",
    "DriftReference",
    "FalseAlarmRate",
    "IsotonicCalibration",
    "ProbabilityCalibration",
    "ScalingCalibration",
    "Threshold",
    "band_part",
    "calibration_from_dict",
    "calibration_split",
    "false_alarm_rate",
    "fewest_episodes",
    "fit_calibration",
    "running_peaks",
    "smallest_alpha",
    "threshold_from_dict",
]
