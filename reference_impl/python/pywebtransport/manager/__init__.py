"""Registers of what a server has open."""

from pywebtransport.manager.connection import ConnectionManager
from pywebtransport.manager.session import SessionManager

__all__ = ["ConnectionManager", "SessionManager"]
