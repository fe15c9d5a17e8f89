"""The command line, a file per command with what it prints; its door is `main.main`."""
