# SPDX-License-Identifier: Apache-2.0
"""Levels of a problem, as in diagnostic_msgs/DiagnosticStatus."""

from diagnostic_msgs.msg import DiagnosticStatus

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
