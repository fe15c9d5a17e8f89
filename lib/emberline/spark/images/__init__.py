"""Pictures on Spark; its door is `stage`, the stage prepare-images."""
