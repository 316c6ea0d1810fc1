"""Devious Baton (draft-frindell-webtrans-devious-baton-00) as pure state machines.

``machine`` plays either role, ``checker`` judges what the other side does, ``message`` and ``query`` are the
codecs, ``readings`` lists what the draft leaves open. Nothing here knows sockets, QUIC or time.
"""

from conformance.peer.baton.checker import Checker, Violation
from conformance.peer.baton.codes import PATH, SessionError, StreamError
from conformance.peer.baton.machine import BatonMachine, Options, Role, Stream
from conformance.peer.baton.message import Message, MessageReader, encode_message
from conformance.peer.baton.moves import (
    CloseSession,
    Move,
    OpenStream,
    Reply,
    ResetStream,
    SendDatagram,
    StopStream,
)
from conformance.peer.baton.query import Parameters, Refusal, allowed_answers, read_query
from conformance.peer.baton.readings import READINGS

__all__ = [
    "PATH",
    "READINGS",
    "BatonMachine",
    "Checker",
    "CloseSession",
    "Message",
    "MessageReader",
    "Move",
    "OpenStream",
    "Options",
    "Parameters",
    "Refusal",
    "Reply",
    "ResetStream",
    "Role",
    "SendDatagram",
    "SessionError",
    "StopStream",
    "Stream",
    "StreamError",
    "Violation",
    "allowed_answers",
    "encode_message",
    "read_query",
]
