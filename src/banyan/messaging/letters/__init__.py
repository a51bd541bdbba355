"""Dead letters: what a consumer could not handle, and what waits behind it, beside the inbox in its own database."""
