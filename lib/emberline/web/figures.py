"""Figures for Prometheus, in its text format (prometheus.io/docs/instrumenting/exposition_formats):
requests by what they asked and how they ended, how long they took, and what is read.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


@dataclass
class Figures:
    """What has been counted since the server began; one thread counts."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    buckets: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    def count(self, name: str, status: int, seconds: float) -> None:
        """One request for `name` is answered."""
        self.requests[name, status] += 1
        self.buckets[name, bisect_left(_BOUNDS, seconds)] += 1
        self.seconds[name] += seconds  # type: ignore[assignment]

    def text(self, release: str) -> str:
        """All of it, and which release is read."""
        return "\n".join(
            [
                "# HELP emberline_requests_total Requests by what they asked and their status.",
                "# TYPE emberline_requests_total counter",
                *(
                    f'emberline_requests_total{{ask="{name}",status="{status}"}} {count}'
                    for (name, status), count in sorted(self.requests.items())
                ),
                "# HELP emberline_request_seconds How long answers took.",
                "# TYPE emberline_request_seconds histogram",
                *(line for name in sorted(self.seconds) for line in self._histogram(name)),
                "# HELP emberline_release_info Which release is read.",
                "# TYPE emberline_release_info gauge",
                f'emberline_release_info{{release="{release}"}} 1',
                "",
            ]
        )

    def _histogram(self, name: str) -> list[str]:
        lines, total = [], 0
        for place, bound in enumerate((*map(str, _BOUNDS), "+Inf")):
            total += self.buckets[name, place]
            lines.append(f'emberline_request_seconds_bucket{{ask="{name}",le="{bound}"}} {total}')
        return [
            *lines,
            f'emberline_request_seconds_sum{{ask="{name}"}} {self.seconds[name]:.9f}',
            f'emberline_request_seconds_count{{ask="{name}"}} {total}',
        ]
