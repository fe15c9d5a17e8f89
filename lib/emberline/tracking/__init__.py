"""Runs and trials noted in MLflow, where a pipeline says so."""
