"""What a request to create asks for, read from its OCCI document; Problem names what is wrong."""

from __future__ import annotations

import base64
import binascii
import uuid
from urllib.parse import urlsplit

from demo.cloud.admission import Guest
from demo.cloud.dialects import IMAGES, SIZES, Dialect
from demo.cloud.messages import Problem
from demo.cloud.things import Machine, Size, Volume
from hanse.occi.model import PUBLIC_KEY_V1, SSH_KEY_V12, USER_DATA_V1, USER_DATA_V12, Document, Value

MOST_USER_DATA = 65536
MOST_VOLUME_GB = 100_000
_KEY_WORDS = ("ssh-", "ecdsa-", "sk-")


def machine(wanted: Document, dialect: Dialect, guest: Guest) -> Machine:
    """The machine that is asked for, without addresses and times."""
    if dialect.needs_id and not said(wanted, "occi.core.id"):
        raise Problem(500, "The attribute occi.core.id is missing.")
    return Machine(
        id=str(uuid.uuid4()),
        title=said(wanted, "occi.core.title") or "untitled",
        hostname=said(wanted, "occi.compute.hostname") or "localhost",
        account=guest.account,
        dn=guest.dn,
        vo=guest.vo,
        fqan=guest.fqan,
        image=_image(wanted, dialect),
        size=_size(wanted, dialect),
        address="",
        created=0.0,
        changed=0.0,
        user_data=_user_data(wanted, dialect),
        public_key=_public_key(wanted, dialect),
    )


def volume(wanted: Document, dialect: Dialect, guest: Guest) -> Volume:
    """The volume that is asked for."""
    size = wanted.attributes.get("occi.storage.size", "")
    number = _number(size)
    if number is None or not 1 <= number <= MOST_VOLUME_GB:
        sentence = f"occi.storage.size must be a whole number of GB from 1 to {MOST_VOLUME_GB}."
        raise Problem(dialect.malformed, sentence)
    title = said(wanted, "occi.core.title") or "untitled"
    return Volume(str(uuid.uuid4()), title, guest.account, guest.dn, guest.vo, number)


def end_of(wanted: Document, name: str, collection: str, dialect: Dialect) -> str:
    """The id that an end of a link (occi.core.source or .target) names, which must lie in `collection`."""
    given = said(wanted, name)
    *_, place, number = ("", *urlsplit(given).path.rstrip("/").split("/"))
    if place != collection or not number:
        raise Problem(dialect.malformed, f"{name} must be the address of a {collection}, not {given[:80]!r}.")
    return number


def said(wanted: Document, name: str) -> str:
    """An attribute as text, empty when it is not given."""
    return str(wanted.attributes.get(name, ""))


def _number(value: Value) -> int | None:
    try:
        number = float(value)
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None


def _image(wanted: Document, dialect: Dialect) -> str:
    for category in wanted.categories:
        if category.scheme == dialect.image_scheme:
            if category.term not in IMAGES:
                raise Problem(404, f"There is no image {category.term!r}.")
            return category.term
    raise Problem(dialect.malformed, "The request names no os_tpl.")


def _size(wanted: Document, dialect: Dialect) -> Size:
    for category in wanted.categories:
        if category.scheme == dialect.size_scheme:
            for size in SIZES:
                if size.term == category.term:
                    return size
            raise Problem(404, f"There is no size {category.term!r}.")
    raise Problem(dialect.malformed, "The request names no resource_tpl.")


def _user_data(wanted: Document, dialect: Dialect) -> str:
    first = ("org.openstack.compute.user_data", USER_DATA_V1)
    data = _of_generations(wanted, dialect, first, (dialect.user_data_v12, USER_DATA_V12))
    if len(data) > MOST_USER_DATA * 4 // 3 + 4:
        raise Problem(413, f"user_data may have {MOST_USER_DATA} bytes.")
    try:
        base64.b64decode(data, validate=True)
    except binascii.Error:
        raise Problem(dialect.malformed, "user_data must be base64.") from None
    return data


def _public_key(wanted: Document, dialect: Dialect) -> str:
    first = ("org.openstack.credentials.publickey.data", PUBLIC_KEY_V1)
    key = _of_generations(wanted, dialect, first, (dialect.key_v12, SSH_KEY_V12)).strip()
    if key and (len(key) > 16_384 or not key.startswith(_KEY_WORDS) or len(key.split()) < 2):
        raise Problem(dialect.malformed, "The public key must be one line as in an authorized_keys file.")
    return key


def _of_generations(
    wanted: Document, dialect: Dialect, first: tuple[str, str], second: tuple[str, str]
) -> str:
    """What the attribute of either generation of a context mixin says; each needs its mixin."""
    found = []
    for name, mixin in (first, second):
        if name in wanted.attributes:
            if wanted.find(mixin) is None:
                raise Problem(dialect.malformed, f"The attribute {name} needs the mixin {mixin}.")
            found.append(said(wanted, name))
    both = wanted.find(first[1]) is not None and wanted.find(second[1]) is not None
    if both and dialect.one_generation is not None:
        raise Problem(dialect.one_generation, f"{first[1]} and {second[1]} cannot be used together.")
    return found[-1] if found else ""
