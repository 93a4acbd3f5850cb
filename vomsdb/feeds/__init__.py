"""Files that sites fetch by their old means. A new one is one module here and one name in this table."""

from __future__ import annotations

from collections.abc import Mapping

from vomsdb.feeds import gridmap, keystone, vomsdir
from vomsdb.feeds.material import Feed

FEEDS: Mapping[str, Feed] = {feed.name: feed for feed in (gridmap.FEED, keystone.FEED, vomsdir.FEED)}
