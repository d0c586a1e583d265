"""What ``scan --fix`` offers: edits of the project's files, and commands.

Rules say what is to become (:class:`doctor.model.report.Change`). ``requirements``, ``scripts``, ``environment`` and
``images`` find the place in a file, each proven by reading the result again; ``plan`` keeps what mends a finding and
makes no other; ``write`` puts it into the files. Nothing is installed and no command is run.
"""
