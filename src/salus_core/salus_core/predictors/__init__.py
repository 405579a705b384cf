"""Predictors of failures behind one interface; see docs/predictor.md."""
