"""The story of a researcher, from the first application to the end of the membership, played through public
interfaces.

No step knows a database address or an administrator's secret: each goes with the credential of the one who
takes it.
"""

from demo.story.play import play

__all__ = ["play"]
