"""Training of predictors: settings, targets, losses, batches, the loop."""
