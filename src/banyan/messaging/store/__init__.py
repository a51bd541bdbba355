"""The event store: days made ahead, kept, archived and dropped, and what can be read of them."""
