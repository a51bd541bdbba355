"""The gateway's faces: the control API on its own socket, and the health and console pages under /_banyan/."""
