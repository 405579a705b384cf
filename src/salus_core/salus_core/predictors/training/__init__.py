# SPDX-License-Identifier: Apache-2.0
"""Training of predictors: settings, targets, losses, batches, the loop."""
