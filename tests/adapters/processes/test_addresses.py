from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from serin.adapters.local.processes import addresses
from serin.adapters.local.processes.addresses import AddressInUse, claim_subnet
from serin.errors import Unreachable


@pytest.fixture
def subnet():
    claimed = claim_subnet("a test")
    yield claimed
    claimed.close()


def test_a_subnet_is_ones_own_until_it_is_given_up(subnet):
    other = claim_subnet("a test")
    assert str(other) != str(subnet)
    other.close()
    subnet.close()
    again = claim_subnet("a test")
    assert str(again) == str(subnet), "the same home gets the same subnet when it can"
    again.close()


def test_a_subnet_dies_with_its_process():
    program = (
        "import os; from serin.adapters.local.processes.addresses import claim_subnet;"
        "print(claim_subnet('dying'), flush=True); os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert died.returncode == -9
    again = claim_subnet("dying")
    assert str(again) == died.stdout.strip()
    again.close()


def test_all_subnets_taken_is_said(monkeypatch, subnet):
    monkeypatch.setattr(addresses, "_SUBNETS", [(subnet.a, subnet.b)])
    with pytest.raises(
        Unreachable, match="all 1 loopback subnets are taken by other homes; end some with 'serin down'"
    ):
        claim_subnet()


def test_addresses_are_given_in_turn_and_a_freed_one_rests(subnet):
    first, second = subnet.allot(), subnet.allot()
    assert (first[-2:], second[-2:]) == (".2", ".3")
    subnet.free(first)
    assert subnet.allot().endswith(".4")


def test_all_addresses_are_used_before_it_is_over_and_each_once(subnet):
    given = [subnet.allot() for _ in range(253)]
    assert len(set(given)) == 253
    with pytest.raises(AddressInUse, match="a home runs at most 253 Pods"):
        subnet.allot()
    subnet.free(given[7])
    assert subnet.allot() == given[7]


def test_an_address_whose_port_is_taken_is_passed_over(subnet):
    with socket.create_server((f"127.{subnet.a}.{subnet.b}.2", 0)) as other:
        assert subnet.allot([other.getsockname()[1]]).endswith(".3")


def test_a_port_that_is_taken_everywhere_is_said(subnet):
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AddressInUse, match=f"port {port} is in use by a program that listens on all addresses"):
            subnet.allot([port])
    assert subnet.allot([port]).endswith(".5")


def test_a_conversation_is_seen_while_it_lasts(subnet):
    address = subnet.allot()
    with socket.create_server((address, 0)) as server:
        assert not addresses.in_conversation(address)
        with socket.create_connection(server.getsockname()):
            assert addresses.in_conversation(address)
            server.accept()[0].close()
        assert not addresses.in_conversation(address)


@pytest.mark.parametrize(
    ("host", "exposed"),
    [("0.0.0.0", "0.0.0.0:{}"), ("127.64.9.9", None), ("::", ":::{}"), ("::1", None), ("::ffff:127.64.9.9", None)],
)
def test_listeners_reachable_from_outside_are_found(host, exposed):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        if server.family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind((host, 0))
        server.listen()
        port = server.getsockname()[1]
        expected = [exposed.format(port)] if exposed else []
        assert addresses.listening_elsewhere([os.getpid()]) == expected
    assert addresses.listening_elsewhere([]) == []
