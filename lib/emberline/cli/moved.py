"""Options that are commands now: what to write instead."""

from collections.abc import Sequence

_MOVED = {
    "plan": {
        "--format airflow": "emberline schedule airflow PIPELINE.toml",
        "--format cron": "emberline schedule cron PIPELINE.toml",
        "--format systemd": "emberline schedule systemd PIPELINE.toml",
        "--at": "emberline schedule airflow|cron|systemd PIPELINE.toml --at TIME",
        "--to": "emberline schedule airflow|cron|systemd PIPELINE.toml --to DIR",
        "--submit": "emberline schedule airflow|systemd PIPELINE.toml --submit COMMAND",
    },
    "publish": {"--rollback": "emberline rollback DIR"},
}


def hint(arguments: Sequence[str]) -> str | None:
    """For a command line that was refused: what has taken an option's place, None where nothing
    has.
    """
    moved = _MOVED.get(arguments[0], {}) if arguments else {}
    line = f" {' '.join(arguments[1:])} ".replace("=", " ")
    found = next((option for option in moved if f" {option} " in line), None)
    return found and f"Instead of {arguments[0]} {found}: {moved[found]}"
