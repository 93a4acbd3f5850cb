"""What can go wrong at a site, each as a sentence that the site administrator can act on."""

from __future__ import annotations


class AgentError(Exception):
    """Something the administrator must look at; the text is the sentence to show."""


class Refused(AgentError):
    """A document, or a change, that the agent does not accept. What was held before stays."""


class Unreachable(AgentError):
    """The VO membership service gave no usable answer. What was held before stays."""
