"""What a process knows about itself: figures that anybody on its socket may read, and traces of sampled requests."""
