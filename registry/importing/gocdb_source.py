"""Where a GOCDB's answers come from: a running one, asked method by method and page by page, or files that were saved.

What needs no credential is asked at the public address, the rest at the private one when a certificate is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from hanse.errors import FieldFault, HanseError, Refused
from hanse.http import Client, HttpError
from registry.importing.gocdb_reader import method_of, next_page, not_an_answer
from registry.importing.gocdb_records import Values
from registry.importing.gocdb_words import scopes
from registry.importing.hostile_xml import MAX_BYTES, read

MAX_FILES: Final = 2000
MAX_PAGES: Final = 2000
MAX_SCOPES: Final = 50
DEADLINE_S: Final = 120
# GOCDB reads an absent `scope` as the default scope only; empty means all
_ALL_SCOPES: Final = "scope="
PUBLIC: Final = (
    ("get_service_types", ""),
    ("get_roc_list", ""),
    ("get_site_list", _ALL_SCOPES),
    ("get_service_endpoint", _ALL_SCOPES),
    ("get_downtime_nested_services", _ALL_SCOPES),
)
PRIVATE: Final = (
    ("get_ngi", _ALL_SCOPES),
    ("get_roc_contacts", ""),
    ("get_user", ""),
    ("get_project_contacts", ""),
    ("get_site", _ALL_SCOPES),
    ("get_site_security_info", _ALL_SCOPES),
    ("get_site_contacts", _ALL_SCOPES),
    ("get_cert_status_date", ""),
    ("get_cert_status_changes", ""),
    ("get_service_group", _ALL_SCOPES),
    ("get_service_group_role", _ALL_SCOPES),
)
PAGED: Final = frozenset(name for name, _ in (*PUBLIC, *PRIVATE)) - {
    "get_service_types",
    "get_roc_list",
    "get_site_list",
}
_CLOSED: Final = "needs a credential: give --gocdb-cert and --gocdb-key, or --gocdb-token-file"
CERTIFICATIONS: Final = ("Candidate", "Uncertified", "Certified", "Suspended", "Closed")


@dataclass
class Answers:
    """Documents by method, what could not be read as (method, why), and what is known of sites besides, by key."""

    source: str
    documents: dict[str, list[bytes]] = field(default_factory=dict)
    unread: list[tuple[str, str]] = field(default_factory=list)
    sites: dict[str, Values] = field(default_factory=dict)


def from_files(paths: list[Path]) -> Answers:
    """Saved answers: files, or folders of files, named by their method (`get_site.xml`, `get_site_page2.xml`).

    Raises Refused when there is none, or when they are too many or too big.
    """
    answers = Answers(source=", ".join(path.name or str(path) for path in paths)[:200])
    files = [file for path in paths for file in (sorted(path.glob("*.xml")) if path.is_dir() else [path])]
    if len(files) > MAX_FILES:
        raise Refused(f"{len(files):,} files; {MAX_FILES:,} are read at most.")
    for file in files:
        method = method_of(file.name)
        if method is None:
            answers.unread.append((file.name, "is named after no method that is imported"))
            continue
        if file.stat().st_size > MAX_BYTES:
            raise Refused(f"{file} is too big.", FieldFault(file.name, f"{MAX_BYTES:,} bytes at most"))
        answers.documents.setdefault(method, []).append(file.read_bytes())
    if not answers.documents:
        raise Refused(
            "There is no answer of a GOCDB in these files.",
            FieldFault("path", "give a folder with files such as get_site.xml and get_service_endpoint.xml"),
        )
    return answers


@dataclass(frozen=True)
class Address:
    """The interface of a running GOCDB; `private` is empty when there is no credential for it."""

    public: str
    private: str = ""
    cert: tuple[Path, Path] | None = None
    ca: Path | None = None
    token: str = field(default="", repr=False)

    @classmethod
    def of(
        cls,
        url: str,
        private_url: str = "",
        cert: tuple[Path, Path] | None = None,
        ca: Path | None = None,
        token: str = "",
    ) -> Address:
        """From any address of it: the portal's host, `/gocdbpi`, or the whole public or private address."""
        base = _base(url)
        private = f"{_base(private_url) if private_url else base}/private/" if cert or token else ""
        return cls(f"{base}/public/", private, cert, ca, token)


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused("This is no address.", FieldFault("url", "write it as https://goc.example.org/gocdbpi"))
    path = parts.path.rstrip("/")
    for end in ("/public", "/private"):
        path = path.removesuffix(end)
    return f"{parts.scheme}://{parts.netloc}{path or '/gocdbpi'}"


def from_address(address: Address, tell: Callable[[str], None] = lambda _: None) -> Answers:
    """Everything that the interface lets be read; `tell` hears of each method. A method that fails is in `unread`.

    Raises Refused when not even the services can be read.
    """
    answers = Answers(source=urlsplit(address.public).netloc)
    with Client(
        address.public, ca=address.ca, deadline_s=DEADLINE_S, max_bytes=MAX_BYTES, retries=2
    ) as client:
        for method, parameters in PUBLIC:
            _ask(answers, client, method, parameters, tell)
        if "get_service_endpoint" not in answers.documents:
            why = dict(answers.unread).get("get_service_endpoint", "nothing was answered")
            raise Refused(f"{address.public} cannot be read.", FieldFault("get_service_endpoint", why))
        if not address.private:
            answers.unread += [(method, _CLOSED) for method, _ in PRIVATE]
            _guess_sites(answers, client)
            return answers
    private = Client(
        address.private,
        token=address.token,
        cert=address.cert,
        ca=address.ca,
        deadline_s=DEADLINE_S,
        max_bytes=MAX_BYTES,
        retries=2,
    )
    with private as client:
        for method, parameters in PRIVATE:
            _ask(answers, client, method, parameters, tell)
        if "get_site" not in answers.documents:
            _guess_sites(answers, client)
    return answers


def _ask(answers: Answers, client: Client, method: str, parameters: str, tell: Callable[[str], None]) -> None:
    tell(method)
    try:
        pages = list(_pages(client, method, parameters))
    except (HttpError, HanseError) as error:
        answers.unread.append((method, str(error)))
        return
    for page in pages:
        if (why := not_an_answer(page)) is not None:
            answers.unread.append((method, why))
            return
    answers.documents[method] = pages


def _pages(client: Client, method: str, parameters: str) -> Iterator[bytes]:
    """Page after page; where the paged question is refused the answer comes whole."""
    path = f"?method={method}" + (f"&{parameters}" if parameters else "")
    if method not in PAGED:
        yield _get(client, path)
        return
    following: str | None = f"{path}&next_cursor=0"
    seen: set[str] = set()
    for _ in range(MAX_PAGES):
        if following is None or following in seen:
            return
        seen.add(following)
        document = _get(client, following)
        yield document
        if not_an_answer(document) is not None:
            return
        following = _same_place(next_page(read(document, method)), path)
    raise Refused(f"{method} has more than {MAX_PAGES:,} pages.")


def _same_place(href: str | None, path: str) -> str | None:
    """Only the cursor is taken from the link: its host may be the name that a proxy hides."""
    if href is None:
        return None
    for part in urlsplit(href).query.split("&"):
        if part.startswith("next_cursor=") and part.removeprefix("next_cursor=").isdigit():
            return f"{path}&{part}"
    return None


def _get(client: Client, path: str) -> bytes:
    answer = client.get(client.url + path)
    if not answer.ok:
        raise HttpError(f"answered {answer.status}")
    return answer.body


def _guess_sites(answers: Answers, client: Client) -> None:
    """Without get_site: which sites the open list names for a status or a scope says what theirs is."""
    asked = [("certification_status", "certification", status) for status in CERTIFICATIONS]
    asked.append(("production_status", "infrastructure", "Production"))
    asked += [("scope", "scopes", scope) for scope in _scopes_of_services(answers)[:MAX_SCOPES]]
    for parameter, field_name, value in asked:
        every = "" if parameter == "scope" else f"&{_ALL_SCOPES}"
        try:
            document = _get(client, f"?method=get_site_list&{parameter}={quote(value)}{every}")
            root = read(document, "get_site_list") if not_an_answer(document) is None else None
        except (HttpError, HanseError) as error:
            answers.unread.append((f"get_site_list by {parameter}={value}", str(error)))
            continue
        for element in () if root is None else root.all("SITE"):
            known = answers.sites.setdefault(element.attributes.get("PRIMARY_KEY", ""), {})
            if field_name == "scopes":
                known["scopes"] = [*known.get("scopes", ()), value]
            else:
                known[field_name] = value


def _scopes_of_services(answers: Answers) -> list[str]:
    found = {
        scope
        for document in answers.documents["get_service_endpoint"]
        for element in read(document, "get_service_endpoint").all("SERVICE_ENDPOINT")
        for scope in scopes(element)
    }
    return sorted(found)
