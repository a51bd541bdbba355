"""What the templates show: links, names and pictures made from what the services answer."""
