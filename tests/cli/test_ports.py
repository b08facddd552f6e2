"""Only one service gets an address."""

import socket

import pytest

from app.cli.serving.ports import bind_listeners, check_address
from app.settings import Misconfigured


def test_the_sockets_of_one_service_share_a_port_and_a_second_service_is_refused():
    listeners = bind_listeners("127.0.0.1", 0, 3)
    port = listeners[0].getsockname()[1]
    try:
        assert [listener.getsockname()[1] for listener in listeners] == [port] * 3
        for listener in listeners:
            listener.listen()
        with pytest.raises(Misconfigured, match="stop the other program"):
            bind_listeners("127.0.0.1", port, 2)
        with pytest.raises(Misconfigured, match="stop the other program"):
            check_address("127.0.0.1", port)
    finally:
        for listener in listeners:
            listener.close()


def test_a_service_that_is_still_starting_keeps_its_port():
    [first, *others] = bind_listeners("127.0.0.1", 0, 2)
    try:
        with pytest.raises(Misconfigured, match="stop the other program"):
            bind_listeners("127.0.0.1", first.getsockname()[1], 2)
    finally:
        for listener in (first, *others):
            listener.close()


def test_a_socket_of_another_program_that_allows_to_share_is_not_joined():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(Misconfigured):
            bind_listeners("127.0.0.1", other.getsockname()[1], 2)


def test_a_host_that_is_not_of_this_machine_is_named():
    with pytest.raises(Misconfigured, match="not an address of this machine"):
        bind_listeners("203.0.113.9", 0, 2)
