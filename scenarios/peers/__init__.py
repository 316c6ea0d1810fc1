"""Small WebTransport servers on libraries that were not written here: witnesses and targets of the suite."""

from scenarios.peers.registry import PEERS, ForeignPeer, MissingToolchain, Tool
from scenarios.peers.serving import PeerServer, StartFailed

__all__ = ["PEERS", "ForeignPeer", "MissingToolchain", "PeerServer", "StartFailed", "Tool"]
