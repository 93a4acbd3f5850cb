"""What a cloud site installs: receives identities, and proves that it applied them."""
