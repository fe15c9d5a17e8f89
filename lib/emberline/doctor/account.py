"""The user that a run belongs to, as the system knows them."""

import os
import pwd

from emberline.doctor.check import Check, error, ok


def check_account() -> Check:
    """Whether the user has a name: containers that are started with a bare number have none,
    and Java's login fails.
    """
    user = os.geteuid()
    try:
        return ok("user", f"{pwd.getpwuid(user).pw_name} ({user})")
    except KeyError:
        entry = f"emberline:x:{user}:{os.getegid()}::/tmp:/bin/sh"
        remedy = f"add one, such as {entry}, or run as a user that has one"
        return error(
            "user",
            f"user {user} has no entry in /etc/passwd, without which Spark's Java does not start",
            remedy,
        )
