"""People who are forgotten: their doors are `forgetting` and `verifying`."""
