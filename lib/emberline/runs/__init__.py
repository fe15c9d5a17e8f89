"""Runs of stages: `runner.run` is the door, `plan.plan` says what it would do, `stage_run.StageRun`
is what a stage sees of it.
"""
