"""Reports: one file a format, render(report) -> str."""
