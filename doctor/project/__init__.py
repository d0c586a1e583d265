"""What a repository says: the images it names, its requirements, lock files and suppressions."""
