"""What changes the gateway: its route table and, through it, what Envoy serves."""
