"""Fit the model of the lists once more, to all interactions: the stage refit, for spark-submit.

    spark-submit --properties-file spark-conf/local.conf \\
        --py-files dist/emberline.zip jobs/refit.py \\
        --config PIPELINE.toml --root DIR [--set section.key=value]... [--force]
"""

from emberline.cli.stage import run_stage

if __name__ == "__main__":
    run_stage("refit")
