"""What members of a team are told of each other."""

import json
import socket

from emberline.launch.cluster import address, environment, free_ports


def test_each_member_is_told_everybodys_address_and_its_own_place() -> None:
    told = environment(["10.0.0.1:4000", "10.0.0.2:4001"], 1)["TF_CONFIG"]
    assert told is not None
    assert json.loads(told) == {
        "cluster": {"worker": ["10.0.0.1:4000", "10.0.0.2:4001"]},
        "task": {"type": "worker", "index": 1},
    }


def test_who_is_alone_is_told_nothing_whatever_the_environment_says() -> None:
    assert environment(["10.0.0.1:4000"], 0) == {"TF_CONFIG": None}


def test_an_address_of_ipv6_is_in_brackets() -> None:
    assert address("fd00::1", 4000) == "[fd00::1]:4000"
    assert address("worker-1", 4000) == "worker-1:4000"


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        socket.create_server(("", port)).close()
