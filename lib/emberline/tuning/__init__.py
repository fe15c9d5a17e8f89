"""Studies: settings tried by validation, and the best of them measured by the holdout."""
