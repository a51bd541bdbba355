"""One file per deployable: builds its objects top to bottom, no logic. `up` runs them all."""
