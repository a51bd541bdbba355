"""What is read of learning: SQL straight into the types of the answers."""
