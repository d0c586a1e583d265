"""The pages of rules, their list, and the table in the documents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from doctor import catalogue
from doctor.report import page
from doctor.report.context import Context

ROOT = Path(__file__).resolve().parents[2]


def test_a_page_says_what_why_and_how_to_fix() -> None:
    """The docstring of the rule is its page; paragraphs wrap, examples keep their lines."""
    rule = catalogue.find("KD904")
    text = page.rule_page(rule, Context(width=70))
    assert text.startswith("KD904 suppression-expired (warning)\n\nThe date of a suppression has passed")
    assert "\nWhy is this bad?\n" in text
    assert "\nFROM tensorflow/tensorflow:2.21.0-gpu\n" in text
    prose = text.split("```")[0] + text.split("```")[2]
    assert max(len(line) for line in prose.splitlines()) <= 70


def test_the_last_line_of_a_page_wraps_too() -> None:
    """What would help stands within the width."""
    last = page.rule_page(catalogue.find("KD102"), Context(width=70)).rpartition("\n\n")[2]
    assert last.startswith("Where it is skipped, this helps: ")
    assert max(len(line) for line in last.splitlines()) <= 70


def test_every_rule_has_a_page_that_says_how_to_fix_it() -> None:
    """No rule without its reason and its remedy; no summary of more than one line."""
    for rule in catalogue.rules():
        assert "## Why is this bad?" in rule.page, rule.code
        assert "## How to fix" in rule.page, rule.code
        assert rule.summary.endswith("."), rule.code


def test_the_list_has_every_rule_once() -> None:
    """Code, name, severity and summary; the list fits the width."""
    text = page.rule_list(catalogue.rules(), Context())
    for rule in catalogue.rules():
        assert text.count(f"{rule.code}  {rule.name} ") == 1
    assert max(len(line) for line in text.splitlines()) <= 100


def test_the_table_is_markdown() -> None:
    """One row a rule; a bar in a summary does not break it."""
    rows = page.rules_table(catalogue.rules()).splitlines()
    assert rows[0] == "| code | name | default | finds |"
    assert len(rows) == len(catalogue.rules()) + 2
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)


def test_a_page_of_its_own_leads_to_the_rules_it_follows_from() -> None:
    """The Markdown file has the rule's text as it stands, under its code and name, and links to its causes."""
    rule = catalogue.find("KD102")
    text = page.rule_markdown(rule)
    assert text.startswith("# KD102 driver-too-old\n\nDefault severity: error.\n\n" + rule.summary)
    assert rule.page.strip() in text
    assert "[KD103](KD103.md)" in text


def test_every_page_in_the_repository_is_current() -> None:
    """README, the index and a page for each rule, as the check in CI sees them."""
    script = [sys.executable, str(ROOT / "maintenance" / "update_docs.py"), "--check"]
    run = subprocess.run(script, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert len(list((ROOT / "docs" / "rules").glob("KD*.md"))) == len(catalogue.rules())


def test_the_table_is_put_between_its_markers(tmp_path: Path) -> None:
    """--check finds a stale document, --write mends it and touches nothing else; without markers it is an error."""
    script = [sys.executable, str(ROOT / "maintenance" / "update_docs.py")]
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- rules:begin -->\nold\n<!-- rules:end -->\nafter\n")
    stale = subprocess.run([*script, "--check", str(file)], capture_output=True, text=True, check=False)
    assert (stale.returncode, "not current" in stale.stderr) == (1, True)
    assert subprocess.run([*script, "--write", str(file)], check=False).returncode == 0
    assert subprocess.run([*script, "--check", str(file)], check=False).returncode == 0
    text = file.read_text()
    assert text.startswith("before\n<!-- rules:begin -->\n| code |")
    assert text.endswith("|\n<!-- rules:end -->\nafter\n")
    file.write_text("no markers")
    assert subprocess.run([*script, "--write", str(file)], capture_output=True, check=False).returncode == 2
