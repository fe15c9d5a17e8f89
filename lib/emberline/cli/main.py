"""The entry point of the `emberline` command."""

from emberline.cli.app import app
from emberline.cli.guard import guard


def main() -> None:
    """Run the command line; an error that has a message ends in one line and its exit code."""
    guard(app)
