"""A job as a POSIX shell's command line."""

import shlex

from emberline.schedule.job import Job


def script(job: Job) -> str:
    """The job's commands, one after the other while all goes well; the last one's exit code is the
    whole's.

    A day that is passed on is read from the clock once, so that midnight changes nothing in
    between.
    """
    day = ' --date "$day"' if job.is_dated else ""
    *others, last = (shlex.join(command) + day for command in job.commands)
    return " && ".join([*(["day=$(date +%F)"] if day else []), *others, f"exec {last}"])
