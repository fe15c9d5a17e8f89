"""What is published about all people together: counts, with noise."""
