"""The pages: one room a group of readers."""

from vomsdb.views import applicant, manager, sites, vos

rooms = [vos.pages, applicant.pages, manager.pages, sites.pages]
__all__ = ["rooms"]
