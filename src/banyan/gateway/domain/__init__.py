"""The rules of the gateway: what a route is, which one is asked first, and what is refused. No I/O."""
