"""Headers that tell a browser what our pages never do, so that it need not be asked to."""

from __future__ import annotations

from flask import Flask, Response, request

from hanse.settings import ServiceSettings
from hanse.web.ground import ground, hanse_origins


def policy(settings: ServiceSettings) -> str:
    """Content-Security-Policy:
    nothing from elsewhere, no script or style in a page, forms to our services only.
    """
    ours = " ".join(sorted(hanse_origins(settings)))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"form-action 'self' {ours}; frame-ancestors 'none'; base-uri 'none'"
    )


def install_headers(app: Flask, settings: ServiceSettings) -> None:
    """Set the headers on every answer of `app`.

    HSTS only where all of it is HTTPS: it counts for every port of a host.
    """
    fixed = {
        "Content-Security-Policy": policy(settings),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }

    def secure(response: Response) -> Response:
        for name, value in fixed.items():
            response.headers.setdefault(name, value)
        if request.is_secure and ground().settings.secure_cookies:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        return response

    app.after_request(secure)
