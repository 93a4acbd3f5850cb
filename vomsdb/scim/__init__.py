"""SCIM 2.0 (RFC 7643, RFC 7644): members and groups as other identity systems read and provision them."""
