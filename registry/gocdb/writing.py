"""GOCDB's write interface (v5): what may be changed, by which method, and the change itself.

Only a registered API credential of the very site may write, and only when it is allowed to; GOCDB forgets that with its
shipped settings, here it holds always. Every change is one revision of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, HanseError, NotFound, Refused, TooLarge, Unavailable
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import api_credentials, bodies, properties, services
from registry.models import Endpoint, Service, ServiceType, Site
from registry.recording import lock_service, lock_site, recording
from registry.schemas.fields import PropertyKey, PropertyValue
from registry.schemas.services import EndpointEdit, EndpointFields, ServiceEdit

EXTENSIONS: Final = "extensionproperties"
MOST_PROPERTIES: Final = properties.MOST
# GOCDB's word -> our field
SERVICE_FIELDS: Final[Mapping[str, str]] = {
    "hostname": "hostname",
    "description": "description",
    "production": "production",
    "beta": "beta",
    "monitored": "monitored",
    "notify": "notify",
    "host_dn": "host_dn",
    "host_ip": "host_ip",
    "host_ip_v6": "host_ipv6",
    "host_os": "host_os",
    "host_arch": "host_arch",
    "url": "url",
    "email": "email",
}
ENDPOINT_FIELDS: Final[Mapping[str, str]] = {
    "name": "name",
    "url": "url",
    "interfacename": "interface",
    "description": "description",
    "email": "email",
    "monitored": "monitored",
}
PROPERTIES: Final[Mapping[str, frozenset[str]]] = {
    "site": frozenset({EXTENSIONS}),
    "service": frozenset({EXTENSIONS, "endpoint", *SERVICE_FIELDS}),
    "endpoint": frozenset({EXTENSIONS, *ENDPOINT_FIELDS}),
}
BOOLEANS: Final = frozenset({"production", "beta", "monitored", "notify"})
NEEDED: Final[Mapping[str, frozenset[str]]] = {
    "service": frozenset({"hostname"}),
    "endpoint": frozenset({"name", "url", "interfacename"}),
}
_KEY: Final[TypeAdapter[str]] = TypeAdapter(PropertyKey)
_VALUE: Final[TypeAdapter[str]] = TypeAdapter(PropertyValue)


class WriteFault(Exception):
    """A change that is not made: the HTTP code, and a sentence that says what to do."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Write:
    """One change as it was asked for; `word` is the property as GOCDB calls it.

    `body` is the JSON object that came, None when nothing came.
    """

    method: str
    entity: str
    number: int
    word: str
    key: str | None
    body: Mapping[str, object] | None

    @property
    def words(self) -> str:
        """What is changed, for the log."""
        return f"{self.entity} {self.number}, {self.word}" + (f" {self.key}" if self.key else "")


@dataclass(frozen=True)
class _Locked:
    """The object, its site locked against other writers."""

    site: Site
    service: Service | None = None
    endpoint: Endpoint | None = None

    @property
    def owner(self) -> Site | Service | Endpoint:
        return self.endpoint or self.service or self.site


Step = Callable[[Session, Change, _Locked], None]


def write(db: Database, principal: Principal, wanted: Write) -> None:
    """Make the change. Raises WriteFault, Forbidden, NotFound, Conflict and Refused; then nothing was changed."""
    step = _step(wanted)
    with recording(db, principal, f"GOCDB write interface, {wanted.method}: {wanted.words}") as (
        session,
        change,
    ):
        locked = _lock(session, wanted)
        api_credentials.check_may_write(session, principal, locked.site)
        step(session, change, locked)


def _lock(session: Session, wanted: Write) -> _Locked:
    if wanted.entity == "site":
        name = session.scalar(select(Site.name).where(Site.id == wanted.number))
        if name is None:
            raise NotFound(f"There is no site with the id {wanted.number}.")
        return _Locked(lock_site(session, name))
    if wanted.entity == "service":
        service = lock_service(session, wanted.number)
        return _Locked(service.site, service)
    endpoint, service = services.lock_endpoint(session, wanted.number)
    return _Locked(service.site, service, endpoint)


def _step(wanted: Write) -> Step:
    """What is to be done, from the address, the method and the body alone. Raises WriteFault."""
    if wanted.word not in PROPERTIES.get(wanted.entity, frozenset()):
        raise WriteFault(
            501,
            f"The interface does not change {wanted.word} of a {wanted.entity}; use the pages or the JSON API.",
        )
    if wanted.word == EXTENSIONS:
        return _extensions(wanted)
    if wanted.word == "endpoint":
        return _whole_endpoint(wanted)
    return _field(wanted)


# --- one field ---


def _field(wanted: Write) -> Step:
    if wanted.method == "DELETE":
        raise WriteFault(405, f"{wanted.word} cannot be deleted; PUT another value.")
    if wanted.method == "POST" and wanted.word in BOOLEANS:
        raise WriteFault(405, f"{wanted.word} always has a value, so it is changed with PUT.")
    if wanted.key is not None:
        raise WriteFault(400, f"The address ends with {wanted.word}; only extension properties have a key.")
    words = SERVICE_FIELDS if wanted.entity == "service" else ENDPOINT_FIELDS
    form = ServiceEdit if wanted.entity == "service" else EndpointEdit
    field, value = words[wanted.word], _one_value(wanted)
    if value == "" and wanted.word not in NEEDED[wanted.entity]:
        value = "" if field == "description" else None  # an empty text takes the old one away
    values = _checked(form, {field: value}, {field: wanted.word})

    def step(session: Session, change: Change, locked: _Locked) -> None:
        assert locked.service is not None
        if wanted.method == "POST" and getattr(locked.owner, _column(field)):
            raise Conflict(f"{wanted.word} has a value already; PUT replaces it.")
        if locked.endpoint is not None:
            _check_name(locked.service, locked.endpoint, values)
            services.apply_endpoint(session, change, locked.service, locked.endpoint, values)
        else:
            _check_watched(session, locked.service, values)
            services.apply(session, change, locked.service, values)

    return step


def _column(field: str) -> str:
    return "interface_name" if field == "interface" else field


def _one_value(wanted: Write) -> object:
    body = wanted.body or {}
    if body.get("value") is None:
        raise WriteFault(400, f'Send the new {wanted.word} as {{"value": ..}}.')
    if len(body) > 1:
        raise WriteFault(400, f'Send {{"value": ..}} with nothing beside it to change {wanted.word}.')
    return body["value"]


def _checked(
    form: type[ServiceEdit | EndpointEdit | EndpointFields],
    values: Mapping[str, object],
    words: Mapping[str, str],
) -> dict[str, Any]:
    """The values as our own API would take them, named as our fields. Raises WriteFault 400."""
    try:
        return form.model_validate(dict(values)).model_dump(exclude_unset=True)
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        name = str(finding["loc"][0]) if finding["loc"] else ""
        reason = finding["msg"].removeprefix("Value error, ").replace("Input should", "should")
        raise WriteFault(400, f"The value for {words.get(name, name)} is not taken: {reason}.") from None


def _check_name(service: Service, endpoint: Endpoint, values: Mapping[str, Any]) -> None:
    taken = [one for one in service.endpoints if one is not endpoint and one.name == values.get("name")]
    if taken:
        raise Conflict(f"The service has an endpoint {taken[0].name} already; names are unique in a service.")


def _check_watched(session: Session, service: Service, values: Mapping[str, Any]) -> None:
    """403, and not 400, is how this interface says that a service in production has to be monitored."""
    production = values.get("production", service.production)
    if not production or values.get("monitored", service.monitored):
        return
    kind = session.scalar(select(ServiceType).where(ServiceType.name == service.service_type))
    if kind is None or not kind.monitoring_exception:
        raise WriteFault(
            403, f"A service in production is monitored: set both, monitored first, for {service.hostname}."
        )


# --- extension properties ---


def _extensions(wanted: Write) -> Step:
    given = _given_properties(wanted)
    if wanted.method == "DELETE":
        return _drop(given)
    if not given:
        raise WriteFault(400, 'Send the extension properties as {"key": "value", ..}.')
    return _put(given, new_only=wanted.method == "POST")


def _given_properties(wanted: Write) -> dict[str, str | None]:
    """Keys with their values; None stands for any value, where something is deleted."""
    deleting = wanted.method == "DELETE"
    if wanted.key is not None:
        value = None if deleting and not wanted.body else _one_value(wanted)
        pairs: Mapping[str, object] = {wanted.key: value}
    else:
        pairs = wanted.body or {}
    found: dict[str, str | None] = {}
    for key, value in pairs.items():
        _check_text(_KEY, key, "name of an extension property")
        if not (deleting and value in (None, "")):
            _check_text(_VALUE, value, f"value of {key}")
        found[key] = str(value) if value not in (None, "") or not deleting else None
    return found


def _check_text(wanted: TypeAdapter[str], text: object, what: str) -> None:
    try:
        wanted.validate_python(text, strict=True)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise WriteFault(
            400, f"The {what} is not taken: {reason.replace('Input should', 'should')}."
        ) from None


def _put(given: Mapping[str, str | None], *, new_only: bool) -> Step:
    def step(session: Session, change: Change, locked: _Locked) -> None:
        present = bodies.extensions(locked.owner.properties)
        known = sorted(present.keys() & given.keys())
        if new_only and known:
            raise Conflict(
                f"There is an extension property {known[0]} already; PUT replaces it. None was changed."
            )
        after = {**present, **{key: value or "" for key, value in given.items()}}
        if len(after) > MOST_PROPERTIES:
            raise Conflict(
                f"An object carries at most {MOST_PROPERTIES} extension properties, and these would be {len(after)}."
                " None was changed."
            )
        properties.put(session, change, locked.owner, after)

    return step


def _drop(given: Mapping[str, str | None]) -> Step:
    def step(session: Session, change: Change, locked: _Locked) -> None:
        present = bodies.extensions(locked.owner.properties)
        for key, value in given.items():
            if key not in present:
                raise NotFound(f"There is no extension property {key} here. None was deleted.")
            if value is not None and present[key] != value:
                raise Conflict(f"The extension property {key} has another value. None was deleted.")
        left = {key: value for key, value in present.items() if given and key not in given}
        properties.put(session, change, locked.owner, left)

    return step


# --- a whole endpoint of a service ---


def _whole_endpoint(wanted: Write) -> Step:
    if wanted.method == "DELETE":
        return _remove_endpoint(wanted)
    if wanted.key is not None:
        raise WriteFault(
            400, "The address of a new endpoint ends with endpoint; its name stands in the body."
        )
    given = _endpoint_values(wanted)
    name = given.get("name")
    if name is None:
        raise WriteFault(400, "An endpoint needs a name.")

    def step(session: Session, change: Change, locked: _Locked) -> None:
        service = locked.service
        assert service is not None
        present = next((one for one in service.endpoints if one.name == name), None)
        if present is not None and wanted.method == "POST":
            raise Conflict(f"The service has an endpoint {name} already; PUT changes it.")
        if present is not None:
            services.apply_endpoint(session, change, service, present, given)
            return
        if given.get("url") is None:
            raise WriteFault(400, "A new endpoint needs a url.")
        form = EndpointFields.model_validate({"monitored": service.monitored, **given})
        services.append_endpoint(session, change, service, form)

    return step


def _endpoint_values(wanted: Write) -> dict[str, Any]:
    given: dict[str, object] = {}
    for word, value in (wanted.body or {}).items():
        field = ENDPOINT_FIELDS.get(word.lower())
        if field is None:
            known = ", ".join(ENDPOINT_FIELDS)
            raise WriteFault(400, f"An endpoint has no {word}; send {known}.")
        if value is None or (value == "" and word.lower() not in NEEDED["endpoint"]):
            continue
        given[field] = value
    words = {field: word for word, field in ENDPOINT_FIELDS.items()}
    return _checked(EndpointEdit, given, words)


def _remove_endpoint(wanted: Write) -> Step:
    if wanted.key is None:
        raise WriteFault(400, "Name the endpoint by its id: DELETE .../endpoint/ID.")
    if not (wanted.key.isascii() and wanted.key.isdigit() and len(wanted.key) < 16):
        raise WriteFault(400, "The id of an endpoint is a whole number.")
    if wanted.body:
        raise WriteFault(400, "An endpoint is deleted without a body.")
    number = int(wanted.key)

    def step(session: Session, change: Change, locked: _Locked) -> None:
        service = locked.service
        assert service is not None
        endpoint = next((one for one in service.endpoints if one.id == number), None)
        if endpoint is not None:
            services.delete_endpoint(session, change, service, endpoint)
        elif session.get(Endpoint, number) is not None:
            raise WriteFault(400, f"The endpoint {number} belongs to another service.")
        else:
            raise NotFound(f"There is no endpoint {number}.")

    return step


_CODES: Final[Mapping[type[HanseError], int]] = {
    NotFound: 404,
    Conflict: 409,
    Refused: 400,
    TooLarge: 400,
    Unavailable: 503,
}


def code_of(error: HanseError) -> int:
    """The code that this interface gives one of our errors: what is refused is 400 here, whoever may not is 403."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), 403)
