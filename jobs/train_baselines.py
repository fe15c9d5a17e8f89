"""Fit simpler answers to how new items rank: the stage train-baselines, for spark-submit.

    spark-submit --properties-file spark-conf/local.conf \\
        --py-files dist/emberline.zip jobs/train_baselines.py \\
        --config PIPELINE.toml --root DIR [--set section.key=value]... [--force]
"""

from emberline.cli.stage import run_stage

if __name__ == "__main__":
    run_stage("train-baselines")
