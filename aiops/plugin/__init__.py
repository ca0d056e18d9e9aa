"""All that a plug-in may import, beside `aiops.model` and `aiops.wire`."""

from aiops.plugin.action import Action, Outcome
from aiops.plugin.columns import LANES, Column, Columns, Layout
from aiops.plugin.connector import Connector, Receiver
from aiops.plugin.detector import Detector
from aiops.plugin.errors import Busy, Fatal, NotConnected, PluginError, Retryable, Unproven
from aiops.plugin.miner import Merge, Miner, Template
from aiops.plugin.params import Duration, Plugin, Secret, SelectorText
from aiops.plugin.sink import Message, OneWay, Sink, SinkChange, TicketRef

__all__ = [
    "LANES",
    "Action",
    "Busy",
    "Column",
    "Columns",
    "Connector",
    "Detector",
    "Duration",
    "Fatal",
    "Layout",
    "Merge",
    "Message",
    "Miner",
    "NotConnected",
    "OneWay",
    "Outcome",
    "Plugin",
    "PluginError",
    "Receiver",
    "Retryable",
    "Secret",
    "SelectorText",
    "Sink",
    "SinkChange",
    "Template",
    "TicketRef",
    "Unproven",
]
