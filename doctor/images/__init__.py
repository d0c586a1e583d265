"""Images named in project files: references, the files that hold them, and pinning."""
