"""Raw text files to batches of records; its doors are `text` and, for Parquet, `parquet`."""
