"""Names, addresses and Spark's master."""

import socket
from pathlib import Path

import pytest

from emberline.doctor import network
from emberline.doctor.master import check_master
from emberline.doctor.network import check_host_name, check_loopback
from emberline.launch.network import PrivateNetwork
from emberline.sections.cnn import CnnConfig, TeamConfig

# No machine can bind to it (RFC 5737), and as no DNS label may be as long, no server is asked for
# the other.
FOREIGN = "192.0.2.213"
UNKNOWN = "x" * 64


def test_loopback_takes_connections() -> None:
    assert check_loopback().state == "ok"


def test_a_host_name_that_does_not_resolve_is_an_error() -> None:
    check = check_host_name({}, UNKNOWN)
    assert check.state == "error"
    assert check.found.startswith(f"{UNKNOWN} does not resolve: ")
    assert "SPARK_LOCAL_IP=127.0.0.1" in check.remedy


def test_a_host_name_that_is_another_machines_is_an_error() -> None:
    check = check_host_name({}, FOREIGN)
    assert check.state == "error"
    assert (
        check.found
        == f"{FOREIGN} resolves to {FOREIGN}, to which nothing here binds: Cannot assign requested"
        " address"
    )


def test_spark_local_ip_stands_in_for_the_host_name() -> None:
    assert check_host_name({"SPARK_LOCAL_IP": "127.0.0.1"}, UNKNOWN).state == "ok"
    check = check_host_name({"SPARK_LOCAL_IP": FOREIGN}, "localhost")
    assert (check.state, check.remedy) == ("error", "correct SPARK_LOCAL_IP, or unset it")


def test_a_local_master_is_this_machine() -> None:
    assert check_master("local[*]", {}).state == "ok"


@pytest.mark.parametrize(
    "master",
    ["spark://127.0.0.1:{}", "spark://127.0.0.1:1,127.0.0.1:{}", "k8s://https://127.0.0.1:{}"],
)
def test_a_master_that_listens_is_ok_and_one_that_does_not_is_an_error(master: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert check_master(master.format(port), {}).state == "ok"
    check = check_master(master.format(port), {})
    assert check.state == "error"
    assert "Connection refused" in check.found


@pytest.mark.parametrize(
    "master",
    ["spark://127.0.0.1:port", "spark://127.0.0.1:99999", "k8s://", f"spark://{UNKNOWN}:7077"],
)
def test_a_master_that_is_no_address_is_an_error(master: str) -> None:
    assert check_master(master, {}).state == "error"


def test_yarn_needs_the_clusters_configuration(tmp_path: Path) -> None:
    assert check_master("yarn", {}).state == "error"
    assert check_master("yarn", {"HADOOP_CONF_DIR": str(tmp_path / "gone")}).state == "error"
    assert check_master("yarn", {"YARN_CONF_DIR": str(tmp_path)}).state == "ok"


@pytest.mark.parametrize(
    ("cnn", "is_local_root", "said"),
    [
        (None, True, None),
        (CnnConfig(), True, None),
        (CnnConfig(team=TeamConfig(workers=2, launcher="spark")), True, "on Spark's executors"),
        (CnnConfig(team=TeamConfig(workers=2)), False, "on all interfaces, as the root"),
    ],
)
def test_trainers_whose_ports_others_reach_are_a_warning(
    cnn: CnnConfig | None, is_local_root: bool, said: str | None
) -> None:
    lines = network.check_trainers(cnn, is_local_root)
    assert [line.state for line in lines] == ([] if said is None else ["warning"])
    assert not lines or (said and said in lines[0].found and "firewall" in lines[0].remedy)


def test_trainers_in_a_network_of_their_own_are_fine_and_else_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(network: PrivateNetwork) -> None:
        raise PermissionError(1, "unshare: Operation not permitted")

    monkeypatch.setattr(PrivateNetwork, "__enter__", lambda self: self)
    assert [
        line.state for line in network.check_trainers(CnnConfig(team=TeamConfig(workers=2)), True)
    ] == ["ok"]
    monkeypatch.setattr(PrivateNetwork, "__enter__", refuse)
    (line,) = network.check_trainers(CnnConfig(team=TeamConfig(workers=2)), True)
    assert line.state == "warning" and "(unshare: Operation not permitted)" in line.found


def test_a_local_spark_does_not_ask_for_the_hosts_name() -> None:
    assert check_host_name({}, UNKNOWN, "local[*]").state == "ok"
    assert check_host_name({}, UNKNOWN, "spark://master:7077").state == "error"
