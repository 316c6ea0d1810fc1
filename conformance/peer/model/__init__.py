"""The model server: a strict, table-driven WebTransport server that the deviants are made of."""

from conformance.peer.model.behaviour import Behaviour
from conformance.peer.model.permissions import PERMISSIONS
from conformance.peer.model.rules import RULES, Rule, RuleTable
from conformance.peer.model.server import ModelServer

__all__ = ["PERMISSIONS", "RULES", "Behaviour", "ModelServer", "Rule", "RuleTable"]
