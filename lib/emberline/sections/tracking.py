"""The section [tracking]: where runs and trials are noted besides."""

import re

from pydantic import field_validator

from emberline.sections.base import Section, where

_CREDENTIALS = re.compile(r"^[a-z+]+://[^/]*@")


class TrackingConfig(Section):
    """A server of MLflow's, or a folder, where settings, metrics and pages of every stage and trial
    are noted. It is never needed: where it does not answer, a run says so and goes on.
    """

    uri: str | None = where(
        None,
        description="Where MLflow notes runs and trials, such as http://tracking:5000 or "
        "file:///srv/mlruns; without it, nowhere. Needs the extra [mlflow].",
    )
    experiment: str = where(
        "emberline", description="The experiment of MLflow's that runs and trials are in."
    )

    @field_validator("uri")
    @classmethod
    def _has_no_credentials(cls, uri: str | None) -> str | None:
        if uri and _CREDENTIALS.match(uri):
            raise ValueError(
                "a URI does not hold credentials; MLflow reads MLFLOW_TRACKING_USERNAME and"
                " MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
        return uri
