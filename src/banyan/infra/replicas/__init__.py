"""Replicas of embedded servers: how one is made, how it follows its primary, and how it takes that one's place."""
