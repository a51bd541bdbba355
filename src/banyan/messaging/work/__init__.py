"""What a context does with its events when an operator asks for it, in its own process and for as long as it takes."""
