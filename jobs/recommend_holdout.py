"""Write the lists that metrics are of: the stage recommend-holdout, for spark-submit.

    spark-submit --properties-file spark-conf/local.conf \\
        --py-files dist/emberline.zip jobs/recommend_holdout.py \\
        --config PIPELINE.toml --root DIR [--set section.key=value]... [--force]
"""

from emberline.cli.stage import run_stage

if __name__ == "__main__":
    run_stage("recommend-holdout")
