"""`emberline serve`: what was published, over HTTP."""

from typing import Annotated

import typer

from emberline import extras, logs
from emberline.cli.console import make_console, say
from emberline.cli.options import RootOrRelease
from emberline.errors import ConfigError
from emberline.launch.stop import Stop
from emberline.serving.recommender import Recommender

Host = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Where it listens; by default this machine alone.")
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")]
Follow = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="How often another release is looked for.")
]


def serve(
    context: typer.Context,
    root: RootOrRelease,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    follow: Follow = 1.0,
) -> None:
    """Answer over HTTP what a release holds: lists, lists for new events, similar items. Another
    release is read once it is current. Ends with SIGTERM or Ctrl-C.
    """
    if not extras.SERVE.is_here():
        raise ConfigError(
            f"emberline serve needs {extras.SERVE.brings}, which is not installed:"
            f" {extras.SERVE.remedy}"
        )
    from emberline.web import server  # which imports what comes with the extra

    logs.configure("INFO")
    stop: Stop = context.obj
    with (
        stop.saving(),
        Recommender.open(root, follow) as recommender,
        server.listen(host, port) as taken,
    ):
        at, number = taken.getsockname()[:2]
        where = f"http://{f'[{at}]' if ':' in at else at}:{number}"
        say(
            make_console(),
            f"Answering at {where}, from {recommender.release or root}; {where}/docs says what",
        )
        server.serve(recommender, taken)
