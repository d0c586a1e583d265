"""The history's schema, revision by revision; released ones are never edited."""
