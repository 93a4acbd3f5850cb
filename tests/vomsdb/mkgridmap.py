"""A small client that asks as edg-mkgridmap does, and takes the answer as edg-mkgridmap does."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from urllib.parse import urlsplit
from xml.dom import minidom

HEADERS = {"User-Agent": "edg-mkgridmap/4.0.3", "Cache-Control": "no-cache", "Pragma": "no-cache"}
CALL = (
    '<?xml version="1.0" encoding="UTF-8"?><SOAP-ENV:Envelope'
    ' xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"'
    ' SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><SOAP-ENV:Body>'
    '<m:getGridmapUsers xmlns:m="http://glite.org/wsdl/services/org.glite.security.voms.service.compatibility">'
    "{}</m:getGridmapUsers></SOAP-ENV:Body></SOAP-ENV:Envelope>"
)


def users(answer: bytes) -> list[str]:
    """The children of the first getGridmapUsersReturn, the bytes read as ISO-8859-1 whatever they say."""
    text = answer.decode("latin-1").replace('encoding="UTF-8"', 'encoding="ISO-8859-1"')
    document = minidom.parseString(text.encode("latin-1"))
    assert len(document.getElementsByTagName("soapenv:Body")) == 1
    first = document.getElementsByTagName("getGridmapUsersReturn")[0]
    return [
        child.firstChild.data
        for child in first.childNodes
        if child.nodeType == child.ELEMENT_NODE and child.firstChild is not None
    ]


class Consumer:
    """Asks a service on its TLS side with a client certificate; None = without one."""

    def __init__(self, url: str, trust: Path, certificate: tuple[Path, Path] | None) -> None:
        self._place = urlsplit(url)
        self._context = ssl.create_default_context(capath=str(trust))
        if certificate:
            self._context.load_cert_chain(*certificate)

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
        """The answer, read whole as `answer.content`."""
        connection = http.client.HTTPSConnection(
            str(self._place.hostname), self._place.port, timeout=30, context=self._context
        )
        sent = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body is not None:
            sent |= {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"#getGridmapUsers"'}
        connection.request("GET" if body is None else "POST", path, body, sent)
        answer = connection.getresponse()
        answer.content = answer.read()  # type: ignore[attr-defined]
        connection.close()
        return answer
