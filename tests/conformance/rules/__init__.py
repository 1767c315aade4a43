"""The rules every connector is held to, by what they are about."""

from tests.conformance.rules import form, life, payloads, receiving, speech
from tests.conformance.rules.registry import RULES, Rule

__all__ = ["RULES", "Rule", "form", "life", "payloads", "receiving", "speech"]
