"""voms: does an attribute authority answer as VOMS clients need it, over TLS with a client certificate.

Options: fqans (such as /vo.example: then our credential must get its attributes). Without it a readable refusal is an
answer too: the authority is at work, our certificate is no member.
"""

import re
from urllib.parse import quote

from hanse.occi.text import excerpt
from monitoring.findings import Figure, Finding, Status, Target
from monitoring.wire.http1 import Reply
from monitoring.wire.line import Line

_CODE = re.compile(rb"<code>\s*([A-Za-z]{1,40})\s*</code>")
_MESSAGE = re.compile(rb"<message>(.{0,400}?)</message>", re.DOTALL)
_ATTRIBUTES = re.compile(rb"<ac>\s*[A-Za-z0-9+/=\s]{100,}</ac>")


async def probe(target: Target, line: Line) -> Finding:
    """OK, or CRITICAL voms-refused, voms-invalid; faults of the line (our own credential: UNKNOWN)."""
    fqans = target.options.get("fqans", "")
    base = target.url.rstrip("/").replace("voms://", "https://", 1)
    query = f"?fqans={quote(fqans, safe='/=,')}" if fqans else ""
    reply = await line.ask("GET", f"{base}/generate-ac{query}", (("Accept", "*/*"),))
    figures = (Figure("time", line.trace.elapsed_s(), "s"),)
    if reply.status == 200 and _ATTRIBUTES.search(reply.body):
        return Finding(Status.OK, "The attribute authority gave attributes", figures=figures)
    code = _CODE.search(reply.body)
    if reply.status not in (400, 403, 500) or code is None:
        said = excerpt(reply.body[:200].decode("utf-8", "replace").strip(), 80)
        return Finding(
            Status.CRITICAL, f"The answer is not VOMS ({reply.status}): {said!r}", "voms-invalid", figures
        )
    word = code.group(1).decode()
    if fqans or word == "InternalError":
        said = f"The attribute authority refuses us ({word}): {_words(reply)}"
        return Finding(Status.CRITICAL, said, "voms-refused", figures)
    return Finding(Status.OK, f"The attribute authority answers ({word}: {_words(reply)})", figures=figures)


def _words(reply: Reply) -> str:
    message = _MESSAGE.search(reply.body)
    return excerpt(message.group(1).decode("utf-8", "replace").strip(), 120) if message else "nothing more"
