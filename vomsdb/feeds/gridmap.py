"""The grid-mapfile: `"DN" account`, a line a name; the first rule of the site that a member meets decides in each VO.

Names stand in ASCII (`\\xC3\\xAB`), as OpenSSL prints them and readers compare them. A name with an e-mail address
gets a line in each of the two spellings in use. Readers skip a name with a quotation mark: it is left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vomsdb.feeds.material import Admitted, Feed, OfVo

_HEAD = (
    '# Members of {}, by Hanse: "name" account. Fetched anew at any time; changes made here do not last.\n'
)


def render(vos: Sequence[OfVo]) -> bytes:
    """The lines by name; somebody in several VOs gets the accounts of all, in the order of the VOs."""
    accounts: dict[str, dict[str, None]] = {}
    left_out: set[str] = set()
    for vo in vos:
        for one in vo.members:
            found = _account(vo, one)
            if found is None:
                continue
            if not writable(one.dn):
                left_out.add(one.dn)
                continue
            for name in spellings(one.dn):
                accounts.setdefault(name, {}).update(dict.fromkeys(found.split(",")))
    text = _HEAD.format(", ".join(vo.name for vo in vos) or "no VO")
    text += "".join(f'"{name}" {",".join(held)}\n' for name, held in sorted(accounts.items()))
    if left_out:
        text += f"# {len(left_out)} left out: no grid-mapfile can hold a name with a quotation mark.\n"
    return text.encode()


def _account(vo: OfVo, one: Admitted) -> str | None:
    """The account of the first rule that the member meets; None where the site has none for it."""
    return next((rule.account for rule in vo.rules if rule.account and rule.fqan in one.fqans), None)


def writable(dn: str) -> bool:
    """Whether readers of grid-mapfiles can read the name."""
    return '"' not in dn and not dn.endswith("\\") and dn.isascii() and dn.isprintable()


def spellings(dn: str) -> Iterator[str]:
    """The name, and with `Email` where it says `emailAddress`, as older OpenSSL wrote it."""
    yield dn
    if "/emailAddress=" in dn:
        yield old_email(dn)


def old_email(dn: str) -> str:
    """The name with `Email=` for `emailAddress=`."""
    return dn.replace("/emailAddress=", "/Email=")


FEED = Feed(
    name="grid-mapfile",
    content_type="text/plain; charset=us-ascii",
    what="who may use the site, with the local account",
    members=True,
    authorities=False,
    render=render,
)
