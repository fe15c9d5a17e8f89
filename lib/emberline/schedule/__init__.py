"""Pipelines as files for cron, systemd and Airflow; its doors are the modules of these names."""
