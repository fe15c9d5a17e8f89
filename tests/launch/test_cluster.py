"""What members of a team are told of each other."""

import json
import socket

import pytest

from emberline.errors import ConfigError
from emberline.launch.cluster import address, environment, free_ports, own_gpus, visible_gpus


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


def test_members_on_one_machine_share_its_gpus() -> None:
    shares = [
        own_gpus(["0", "2", "5", "7", "8"], 2, rank)["CUDA_VISIBLE_DEVICES"] for rank in (0, 1)
    ]
    assert shares == ["0,2", "5,7"]
    assert own_gpus(["0", "1"], 1, 0) == own_gpus([], 4, 2) == {}
    with pytest.raises(
        ConfigError, match=r"^3 trainers were asked for, but this machine has 2 GPUs for them; ask"
    ):
        own_gpus(["0", "1"], 3, 0)


def test_the_environment_says_which_gpus_are_for_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-1a2b")
    assert visible_gpus() == ["3", "GPU-1a2b"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
