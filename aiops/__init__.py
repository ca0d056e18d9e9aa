"""Forewarn: proactive monitoring that sees faults coming, opens one ticket, repairs and verifies."""

__version__ = "0.1.0"
