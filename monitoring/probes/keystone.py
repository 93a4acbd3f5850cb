"""keystone: does a login end with a token for a project, by our certificate or proxy or by an OpenID access token.

Options: token (an OpenID access token; without it the credential that probes show), identity_provider ("egi.eu"),
protocols ("mapped" for certificates, "openid,oidc" for tokens), project (default: the first that works).
"""

from functools import partial

from hanse.occi.keystone import Login, LoginError, OidcLogin, ProxyLogin, Token
from hanse.occi.logins import fetch_token
from monitoring.findings import Fault, Figure, Finding, Status, Target
from monitoring.probes.options import words
from monitoring.wire.line import Line
from monitoring.wire.threads import Budget, in_thread

REQUEST_S, WHOLE_S = 15.0, 60.0


async def probe(target: Target, line: Line) -> Finding:
    """OK with the time to a token; CRITICAL login-failed; UNKNOWN bad-option, credential-*, rate-limited."""
    provider, token = target.options.get("identity_provider", "egi.eu"), target.options.get("token", "")
    login: Login
    if token:
        login = OidcLogin(token, provider, words(target, "protocols", ("openid", "oidc")))
    elif line.credential:
        line.trust.context(line.credential)  # our own credential at fault is told as such
        login = ProxyLogin(provider, words(target, "protocols", ("mapped",)))
    else:
        said = "This probe needs a certificate or proxy (probe_cert) or the option token"
        raise Fault("bad-option", said, Status.UNKNOWN)
    with line.trace.phase("login") as step:
        got = await in_thread(partial(_log_in, target, line, login), WHOLE_S)
        step.seen = f"a token for {got.project}"
    took = line.trace.phases[-1].took_s
    figures = (Figure("login", took, "s"),)
    return Finding(Status.OK, f"A login gives a token for {got.project} in {took:.1f} s", figures=figures)


def _log_in(target: Target, line: Line, login: Login, budget: Budget) -> Token:
    project = target.options.get("project", "")
    cert = line.credential if isinstance(login, ProxyLogin) else None
    try:
        return fetch_token(
            target.url,
            login,
            project,
            cert=cert,
            ca=line.trust.directory,
            deadline_s=REQUEST_S,
            budget=budget.left_s,
        )
    except LoginError as error:
        if error.status == 429:
            raise Fault("rate-limited", "Keystone asks us to come less often (429)", Status.UNKNOWN) from None
        raise Fault("login-failed", f"The login failed: {error}") from None
