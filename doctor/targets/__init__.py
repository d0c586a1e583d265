"""Where facts come from: this host, an interpreter, an image, a container, an archive, a saved snapshot."""
