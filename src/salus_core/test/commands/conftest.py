# SPDX-License-Identifier: Apache-2.0
from made_up_predictors import checkpoint, data  # noqa: F401 - fixtures
