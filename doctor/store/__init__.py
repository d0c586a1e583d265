"""The history of runs in SQL: recording, reading, and what drifted when. Imported only by what records or reads it.

``place`` says where it is (no SQLAlchemy there), ``opening`` opens and migrates it, ``entry`` and ``recording`` turn
reports, canary records and training logs into what ``writing`` stores; ``reading``, ``drifting`` and the rest ask.
"""
