"""Have published neighbours change only where enough people have changed them: the stage
steady-neighbors, for spark-submit.

    spark-submit --properties-file spark-conf/local.conf \\
        --py-files dist/emberline.zip jobs/steady_neighbors.py \\
        --config PIPELINE.toml --root DIR [--set section.key=value]... [--force]
"""

from emberline.cli.stage import run_stage

if __name__ == "__main__":
    run_stage("steady-neighbors")
