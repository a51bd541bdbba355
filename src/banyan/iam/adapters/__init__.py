"""What iam needs of cryptography: hashes of passwords, and keys that sign tokens."""
