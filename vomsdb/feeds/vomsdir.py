"""vomsdir and vomses in one archive: how sites and clients know the attribute authorities of VOs.

To be unpacked in /etc/grid-security: `vomsdir/<vo>/<host>.lsc` and `vomses/<vo>-<host>`.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence

from vomsdb.feeds.material import Feed, OfVo


def render(vos: Sequence[OfVo]) -> bytes:
    """The archive of all authorities of the VOs."""
    texts: dict[str, str] = {}
    for vo in vos:
        for one in vo.authorities:
            texts[f"vomsdir/{vo.name}/{one.host}.lsc"] = one.lsc
            texts[f"vomses/{vo.name}-{one.host}"] = one.vomses
    return packed(texts)


def packed(texts: Mapping[str, str]) -> bytes:
    """The texts by file name, however long, as .tar.gz: the same bytes for the same texts, each with mode 644.

    The C++ client refuses a vomses that others can write.
    """
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, text in sorted(texts.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(plain.getvalue(), mtime=0)


FEED = Feed(
    name="vomsdir.tar.gz",
    content_type="application/gzip",
    what="vomsdir and vomses: how to know the attribute authorities",
    members=False,
    authorities=True,
    render=render,
)
