"""Single files that are sent to another interpreter on stdin; they import nothing of doctor."""
