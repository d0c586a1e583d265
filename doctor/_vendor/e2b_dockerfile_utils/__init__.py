"""Words, heredocs and the shell lexer of Dockerfiles: modules of e2b-dockerfile-utils 0.1.1, unchanged but for imports."""

from doctor._vendor.e2b_dockerfile_utils.lexer import ShellLex
from doctor._vendor.e2b_dockerfile_utils.syntax import parse_heredoc, parse_words

__all__ = ["ShellLex", "parse_heredoc", "parse_words"]
