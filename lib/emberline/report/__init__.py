"""What a pipeline did, as one HTML page; its door is `page.run`, the stage report."""
