"""The ground floor of Hanse: what every service stands on. It knows no service."""
