"""The probe engine's own sockets: each step timed, each failure with a reason of its own, everything capped.

Separate from `hanse.http` because a probe has to know how long the name, the connection, the handshake and
the first byte took, and must tell an expired certificate from a refused connection.
"""
