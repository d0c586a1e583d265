"""Code of others that cannot be depended on, each with its licence beside it.

``e2b_dockerfile_utils`` (Apache-2.0), a port of BuildKit's lexer: its package asks for Python 3.11, the code runs on 3.10 too.
"""
