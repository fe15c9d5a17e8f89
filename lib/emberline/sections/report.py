"""The section [report]: one page about the run."""

from typing import Annotated

from pydantic import Field

from emberline.sections.base import Section, Seed


class ReportConfig(Section):
    """One HTML page about the run; `users` people are shown with their history and their
    recommendations.
    """

    title: str = "Emberline report"
    users: Annotated[int, Field(ge=0)] = 6
    seed: Seed = 1
