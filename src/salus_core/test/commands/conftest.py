from made_up_predictors import checkpoint, data  # noqa: F401 - fixtures
