"""Decode pictures to one size: the stage prepare-images, for spark-submit.

    spark-submit --properties-file spark-conf/local.conf \\
        --py-files dist/emberline.zip jobs/prepare_images.py \\
        --config PIPELINE.toml --root DIR [--set section.key=value]... [--force]
"""

from emberline.cli.stage import run_stage

if __name__ == "__main__":
    run_stage("prepare-images")
