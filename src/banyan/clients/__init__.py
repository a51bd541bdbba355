"""One small typed HTTP client per service. What a service answers is in `contracts`."""
