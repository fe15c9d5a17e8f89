"""One request to a process that is started for it, and its answer: what a task of Spark's does with
work that is not for its own process.
"""

import queue
from typing import Any

from emberline.errors import WorkerError
from emberline.launch.child import Child, Inbox
from emberline.launch.messages import Done, Ended, Failed, Request


def answered(module: str, request: dict[str, Any]) -> Done | Failed:
    """How a process of the module answers. Raises WorkerError where it ends without an answer."""
    inbox: Inbox = queue.SimpleQueue()
    child = Child(module, inbox)
    try:
        child.send(Request(request))
        while True:
            _, message = inbox.get()
            if isinstance(message, Done | Failed):
                return message
            if isinstance(message, Ended):
                raise WorkerError(f"a process of {module} {message.how} {message.memory}".strip())
    finally:
        child.kill()
