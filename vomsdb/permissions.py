"""Who may do what in the membership service."""

from __future__ import annotations

from hanse.identity.permissions import Permission

_OPERATOR = frozenset({"federation_operator"})
_MANAGERS = frozenset({"vo_manager", "federation_operator"})
_SITE = frozenset({"site_administrator", "site_security_officer", "federation_operator"})

CREATE_VO = Permission("create VOs", _OPERATOR, "federation")
EDIT_CARD = Permission("change the card of the VO", frozenset({"vo_manager"}), "vo:{vo}")
SUPERVISE = Permission("validate VOs", _OPERATOR, "federation")
APPOINT = Permission("appoint managers of the VO", _MANAGERS, "vo:{vo}")
#: Deciding about people is for the VO alone: an operator runs the federation, not its communities.
DECIDE = Permission("decide requests to join", frozenset({"vo_manager"}), "vo:{vo}")
SEE_QUEUE = Permission("see requests to join", _MANAGERS, "vo:{vo}")
SEE_MEMBERS = Permission("see the members", _MANAGERS, "vo:{vo}")
#: Suspending is open to the federation's operator too, since a security incident does not wait for a manager.
SUSPEND = Permission("suspend and restore members", _MANAGERS)
ARRANGE = Permission("arrange groups and roles", frozenset({"vo_manager"}), "vo:{vo}")
#: Somebody who manages a group decides for it and those below it: `vomsdb.group_managers` looks which.
_GROUPS = frozenset({"vo_manager", "vo_group_manager"})
ARRANGE_MEMBER = Permission("give and take groups and roles", _GROUPS)
DECIDE_MEMBER = Permission("decide what members ask for", _GROUPS)
SEE_ASKED = Permission("see what members ask for", _GROUPS | _OPERATOR)
REMOVE = Permission("end and prolong memberships", frozenset({"vo_manager"}))
CERTIFY = Permission("add and take members' certificates", frozenset({"vo_manager"}))
#: Two people in several VOs become one only by somebody who may in all of them.
LINK = Permission("say that two people are one", _MANAGERS)
APPOINT_IN_GROUP = Permission("appoint managers of groups", frozenset({"vo_manager"}), "vo:{vo}")
SIGN_FOR = Permission("sign the AUP for robots", frozenset({"vo_manager"}))
PUBLISH_AUP = Permission("publish an AUP", frozenset({"vo_manager"}), "vo:{vo}")
#: Which VOs and members follows from the caller; each change asks for the permission that it takes by hand, too.
SCIM_READ = Permission("read members by SCIM", _MANAGERS)
SCIM_ALL = Permission("read all members by SCIM", _OPERATOR, "federation")
SCIM_WRITE = Permission("provision members by SCIM", _MANAGERS)
PERSONAL = Permission("give out and erase personal data", _OPERATOR, "federation")
JOIN_CODES = Permission("make join codes for the site", _SITE, "site:{site}")
REPLICATE = Permission("start a replication run", _OPERATOR, "federation")
OVERSEE = Permission("see the state of the service", _OPERATOR | {"service"}, "federation")
SITE_AGENT = Permission("replicate to the site", frozenset({"site_machine"}), "site:{site}")
ANY_SITE_AGENT = Permission("fetch snapshots", frozenset({"site_machine"}))
#: Who acts for a site. Which VOs that may read, `vomsdb.site_files` looks up: those that the site supports.
OF_SITES = frozenset({"site_machine", "site_administrator", "site_security_officer"})
READ_FOR_SITES = Permission("read members as sites know them", OF_SITES | _MANAGERS)
FILES_OF_SITE = Permission("fetch the files of the site", OF_SITES | _OPERATOR, "site:{site}")
RULES_OF_SITE = Permission("say which accounts groups get at the site", _SITE, "site:{site}")
