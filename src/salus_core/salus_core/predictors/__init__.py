# SPDX-License-Identifier: Apache-2.0
"""Predictors of failures behind one interface; see docs/predictor.md."""
