"""Who belongs to which VO: applications, members, attribute certificates, replication to the sites."""
