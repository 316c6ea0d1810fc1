"""Openers: what a URL means, and how failures to open are named."""

from __future__ import annotations

import socket

import pytest

from conformance.peer.client import Peer
from conformance.peer.openers import InvalidUrl, UdpOpener
from conformance.peer.options import ConnectFailed


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://localhost:4433", "localhost:4433", "/echo"),
        ("https://localhost:4433/", "localhost:4433", "/echo"),
        ("https://example.com/a/b?c=d", "example.com", "/a/b?c=d"),
        ("https://[::1]:4433/x", "[::1]:4433", "/x"),
        ("https://user@example.com/x", "example.com", "/x"),
    ],
)
def test_urls(url: str, authority: str, path: str) -> None:
    opener = UdpOpener(url=url)
    assert (opener.authority, opener.path) == (authority, path)


@pytest.mark.parametrize(
    "url", ["http://localhost/", "localhost:4433", "https:///x", "https://a:b/", "https://["]
)
def test_what_is_no_target(url: str) -> None:
    with pytest.raises(InvalidUrl):
        UdpOpener(url=url)


def test_nothing_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(ConnectFailed) as caught:
        Peer.connect(UdpOpener(url=f"https://127.0.0.1:{port}/"))
    assert caught.value.reason_class == "unreachable"


def test_address_that_cannot_be_used() -> None:
    # An address of the documentation range (RFC 5737) is none of this machine's.
    opener = UdpOpener(url="https://127.0.0.1:4433/", bind=("192.0.2.1", 0))
    with pytest.raises(ConnectFailed) as caught:
        Peer.connect(opener)
    assert caught.value.reason_class == "unreachable"
