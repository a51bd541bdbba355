"""`python -m banyan` is `banyan`: scripts in a virtual environment break where its path is very long or has spaces."""

from banyan.cli import main

main()
