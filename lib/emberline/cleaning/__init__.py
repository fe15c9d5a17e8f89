"""What a clean row is; its doors are the tasks of `shield`."""
