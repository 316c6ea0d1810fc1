"""The endpoint `baton`: the server's end of Devious Baton."""

from __future__ import annotations

import secrets
from typing import ClassVar, Final

from pywebtransport.interop import baton
from pywebtransport.interop.baton import BatonMachine
from pywebtransport.interop.baton_game import BatonGame
from pywebtransport.interop.hub import Hub
from pywebtransport.interop.query import MAX_BYTES, BadParameter, Query
from pywebtransport.session import WebTransportSession

MAX_BATONS: Final = 100


class BatonEndpoint(BatonGame):
    """Plays the server of Devious Baton.

    `padding`, `lies` and `disinterest` are test switches (docs/endpoints.md).
    """

    name: ClassVar[str] = "baton"
    path: ClassVar[str | None] = "/webtransport/devious-baton"

    def __init__(self, session: WebTransportSession, query: Query, hub: Hub) -> None:
        if query.number("version", baton.VERSION, high=1 << 30) != baton.VERSION:
            raise BadParameter("there is no such version")
        machine = BatonMachine(
            baton.Role.SERVER,
            count=query.number("count", 1, low=1, high=MAX_BATONS),
            value=query.number("baton", low=1, high=255) or secrets.randbelow(255) + 1,
            lies=query.ordinals("lies"),
            disinterest=query.ordinals("disinterest"),
        )
        padding = None if query.optional("padding") is None else query.number("padding", high=MAX_BYTES)
        super().__init__(session, query, hub, machine=machine, padding=padding)
