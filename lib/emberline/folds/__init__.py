"""Cross-validation: a pipeline measured on several folds of its data, over one base."""
