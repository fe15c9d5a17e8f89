"""Two hundred requests a second for a minute, while releases come and go."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.serving.shop import Shop

from emberline.publish import releases

SECONDS, RATE, CLIENTS = 60, 200, 8


class Client(threading.Thread):
    """Asks at its share of the rate over one connection; counts statuses and releases."""

    def __init__(self, port: int, number: int, shop: Shop) -> None:
        super().__init__()
        self.statuses: Counter[int] = Counter()
        self.releases: Counter[str] = Counter()
        self.slowest = 0.0
        self._number, self._port = number, port
        some = list(shop.events)[number::CLIENTS]
        self._asked = [
            *(("GET", f"/users/{user}/recommendations?k=5", None) for user in some),
            *(("GET", f"/users/{user}/recommendations?k=2&why=true", None) for user in some[:2]),
            *(("GET", f"/items/i{item}/similar", None) for item in range(5)),
            *(
                ("POST", "/recommendations", json.dumps({"events": list(shop.events[user])}))
                for user in some
            ),
        ]

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        begin, each = time.monotonic(), CLIENTS / RATE
        for number in range(SECONDS * RATE // CLIENTS):
            due = begin + (number + self._number / CLIENTS) * each
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            method, path, content = self._asked[number % len(self._asked)]
            connection.request(method, path, content)
            answer = connection.getresponse()
            found = json.loads(answer.read())
            self.statuses[answer.status] += 1
            self.releases[found.get("release", "none")] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)


def _cpu_seconds(pid: int) -> float:
    """What a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.faults
def test_it_answers_while_releases_come_and_go(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "release"
    first, _ = releases.publish(shop.root, folder, with_defaults=False)
    program = "from emberline.cli.main import main; main()"
    arguments = [sys.executable, "-c", program, "serve", str(folder), "--port", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            (port,) = re.findall(r"http://127\.0\.0\.1:(\d+), from", server.stdout.readline())
            clients = [Client(int(port), number, shop) for number in range(CLIENTS)]
            began = time.monotonic()
            for client in clients:
                client.start()
            read = [first.release]
            for _ in range(SECONDS // 12):
                time.sleep(5)
                few, _ = releases.publish(
                    shop.root, folder, keep=2, with_defaults=False, factors="int8"
                )
                time.sleep(5)
                read += [few.release, releases.rollback(folder).release]
            for client in clients:
                client.join()
            took, computed = time.monotonic() - began, _cpu_seconds(server.pid)
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
    statuses = sum((client.statuses for client in clients), Counter[int]())
    answered = sum((client.releases for client in clients), Counter[str]())
    slowest = max(client.slowest for client in clients)
    print(f"{took:.1f} s, of which {computed:.1f} s CPU, slowest {slowest:.3f} s, {answered}")
    assert statuses == {200: SECONDS * RATE}
    assert computed < SECONDS  # one core holds the rate, whatever else the machine is busy with
    assert set(answered) <= set(read) and len(answered) >= 3
