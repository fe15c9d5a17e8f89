"""What a clean row is; its doors are `clean_all` of `events` and of `attributes`."""
