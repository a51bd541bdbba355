"""What the services tell each other: wire types, events, permission names. Data only, one module per owner."""
