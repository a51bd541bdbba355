"""The demo company: the same courses and people for the old site and the new side, from one seed."""
