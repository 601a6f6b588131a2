"""Asking a web server of this host."""

import json
import socket
import urllib.error
import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(listen: str, path: str, timeout: float = 10.0, **headers: str) -> tuple[int, str]:
    """Status and text of a page."""
    request = urllib.request.Request(f"http://{listen}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def probe(listen: str, path: str) -> tuple[int, dict[str, Any]]:
    """Status and content of a page in JSON."""
    status, text = get(listen, path)
    return status, json.loads(text)


class Scrape:
    """What ``/metrics`` told once."""

    def __init__(self, listen: str) -> None:
        status, self.text = get(listen, "/metrics")
        assert status == 200, self.text
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        """A value; None if there is none."""
        return self.samples.get((f"stockgrip_{name}", frozenset(labels.items())))

    @property
    def names(self) -> set[str]:
        """Of everything that has a value."""
        return {name for name, _ in self.samples}
