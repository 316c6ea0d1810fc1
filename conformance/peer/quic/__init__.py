"""QUIC for the malleable peer: aioquic with everything visible and almost everything changeable.

``connection`` one connection, ``server`` many behind one address, ``memory`` and ``udp`` the links,
``frames`` and ``transport_parameters`` the codecs, ``compat`` what is used of aioquic's inside.
"""

from conformance.peer.quic.certificates import Certificate, self_signed
from conformance.peer.quic.connection import QuicPeer
from conformance.peer.quic.injection import Injection
from conformance.peer.quic.link import Host, Link
from conformance.peer.quic.memory import MemoryLink, MemoryNetwork
from conformance.peer.quic.options import Address, Epoch, QuicOptions, SessionTicket, StreamNotWritable
from conformance.peer.quic.server import ServerHost
from conformance.peer.quic.udp import LinkError, UdpLink, serve_forever

__all__ = [
    "Address",
    "Certificate",
    "Epoch",
    "Host",
    "Injection",
    "Link",
    "LinkError",
    "MemoryLink",
    "MemoryNetwork",
    "QuicOptions",
    "QuicPeer",
    "ServerHost",
    "SessionTicket",
    "StreamNotWritable",
    "UdpLink",
    "self_signed",
    "serve_forever",
]
