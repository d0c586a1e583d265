"""Settings: where they come from, which wins, and what is refused."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from doctor.errors import UsageError
from doctor.model.report import Severity
from doctor.settings import KEYS, Settings, load_settings


def load(
    folder: Path,
    flags: dict[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    config: Path | None = None,
) -> Settings:
    return load_settings(folder, flags or {}, environ or {}, config)


def own(folder: Path, text: str) -> dict[str, str]:
    """The user's own configuration with this text, as the environment that names its folder."""
    file = folder / "xdg" / "kdoctor" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return {"XDG_CONFIG_HOME": str(folder / "xdg")}


def test_without_any_source_the_defaults_stand(tmp_path: Path) -> None:
    """No file, no variable, no flag: errors fail the run, in text, and nothing is marked as set."""
    assert load(tmp_path) == Settings()
    assert Settings().fail_on == "error"


def test_each_source_wins_over_the_one_before(tmp_path: Path) -> None:
    """User file < project file < environment < command line."""
    environ = own(tmp_path, 'fail-on = "info"')
    assert load(tmp_path, environ=environ).fail_on == "info"
    (tmp_path / "kdoctor.toml").write_text('fail-on = "warning"')
    assert load(tmp_path, environ=environ).fail_on == "warning"
    environ["KDOCTOR_FAIL_ON"] = "never"
    assert load(tmp_path, environ=environ).fail_on == "never"
    assert load(tmp_path, {"fail_on": "error"}, environ).fail_on == "error"


def test_the_origin_of_a_value_names_file_and_line(tmp_path: Path) -> None:
    """What decided can be named: the file with its line, the variable, the option."""
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "x"\n\n[tool.kdoctor]\n# strict\nfail-on = "warning"\n')
    assert load(tmp_path).origin("fail_on") == f"{file}:6"
    assert load(tmp_path, environ={"KDOCTOR_FAIL_ON": "info"}).origin("fail_on") == "KDOCTOR_FAIL_ON"
    assert load(tmp_path, {"fail_on": "never"}).origin("fail_on") == "--fail-on"


def test_options_that_were_not_given_change_nothing(tmp_path: Path) -> None:
    """None, an empty list and a switch that is off leave what the files say."""
    (tmp_path / "kdoctor.toml").write_text('quiet = true\nselect = ["KD1"]')
    settings = load(tmp_path, {"quiet": False, "select": None, "ignore": [], "output": None})
    assert settings.quiet
    assert settings.select == ("KD1",)


@pytest.mark.parametrize(("option", "choices"), [("pull", "never, missing, always"), ("color", "auto, always, never")])
def test_a_wrong_choice_is_answered_with_the_right_ones(tmp_path: Path, option: str, choices: str) -> None:
    """Also where not choosing is a choice of its own."""
    with pytest.raises(UsageError, match=f"^--{option}: {option} is 'perhaps', expected {choices}$"):
        load(tmp_path, {option: "perhaps"})


def test_words_are_split_at_commas_wherever_they_come_from(tmp_path: Path) -> None:
    """``--select KD1,KD2``, KDOCTOR_SELECT=KD1,KD2 and a list in a file mean the same."""
    expected = ("KD1", "KD904")
    assert load(tmp_path, {"select": ["KD1,KD904"]}).select == expected
    assert load(tmp_path, environ={"KDOCTOR_SELECT": "KD1, KD904"}).select == expected
    (tmp_path / "kdoctor.toml").write_text('select = ["KD1", "KD904"]')
    assert load(tmp_path).select == expected
    (tmp_path / "kdoctor.toml").write_text('select = "KD1,KD904"')
    assert load(tmp_path).select == expected


def test_the_project_file_is_found_from_a_folder_of_its_repository(tmp_path: Path) -> None:
    """Settings apply in subfolders of a repository, and stop at its root."""
    (tmp_path / "kdoctor.toml").write_text('fail-on = "never"')
    repository = tmp_path / "repository"
    inner = repository / "src"
    inner.mkdir(parents=True)
    (repository / ".git").mkdir()
    assert load(inner).fail_on == "error"
    (repository / "kdoctor.toml").write_text('fail-on = "info"')
    assert load(inner).fail_on == "info"


def test_outside_a_repository_only_the_folder_itself_is_looked_at(tmp_path: Path) -> None:
    """Nobody's file in a parent (``/tmp/kdoctor.toml``) steers a run."""
    (tmp_path / "kdoctor.toml").write_text('fail-on = "never"')
    inner = tmp_path / "inner"
    inner.mkdir()
    assert load(inner).fail_on == "error"


def test_policy_is_read_into_types(tmp_path: Path) -> None:
    """Severities and suppressions of a policy, with TOML's own dates."""
    (tmp_path / "kdoctor.toml").write_text(
        '[severity]\nKD904 = "info"\n[[suppressions]]\ncode = "KD904"\npath = "old/*"\nuntil = 2027-01-01\n'
    )
    settings = load(tmp_path)
    assert settings.severity == {"KD904": Severity.INFO}
    assert settings.suppressions[0].until == datetime.date(2027, 1, 1)
    assert settings.suppressions[0].path == "old/*"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('fail-onn = "error"', ["kdoctor.toml:1: unknown key 'fail-onn'", "did you mean 'fail-on'?"]),
        ('colour = "always"', ["unknown key 'colour'", "did you mean 'color'?"]),
        ("\nzzz = 1", ["kdoctor.toml:2: unknown key 'zzz'", "known keys: select, ignore"]),
        (
            'fail-on = "errors"',
            ["kdoctor.toml:1: fail-on is 'errors', expected error, warning", "did you mean 'error'?"],
        ),
        ("offline = 1", ["kdoctor.toml:1: offline: expected true or false, got a number"]),
        ("select = [1]", ["kdoctor.toml:1: select: expected text, got a number"]),
        ('select = ["KD999"]', ["kdoctor.toml:1: 'KD999' is no code"]),
        ('ignore = ["no-such-rule"]', ["kdoctor.toml:1: 'no-such-rule' is no code"]),
        (
            '[severity]\nKD904 = "fatal"',
            ["kdoctor.toml:2: severity of KD904 is 'fatal', expected error, warning, info"],
        ),
        ('[severity]\nKD9999 = "info"', ["'KD9999' is no code"]),
        ('require = ["gpus"]', ["nothing is called 'gpus'", "did you mean 'gpu'?"]),
        ('format = "sarfi"', ["no format is called 'sarfi'"]),
        ("format = []", ["kdoctor.toml:1: format: "]),
        (
            '[[suppressions]]\ncode = "KD904"\n[[suppressions]]\ncod = "KD1"',
            ["kdoctor.toml:3: suppressions: unknown key 'cod'"],
        ),
        ('[[suppressions]]\ncode = "KD904"\nuntil = "soon"', ["kdoctor.toml:1: suppressions: invalid"]),
        ('[[suppressions]]\nreason = "x"', ["kdoctor.toml:1: suppressions: object missing required field `code`"]),
        ("suppressions = 1", ["suppressions: expected a list of tables"]),
        ("select = [}", ["kdoctor.toml: not valid TOML", "line 1"]),
        ('python = "/bin/evil"', ["'python' comes only from the command line"]),
        ('output = "/root/.bashrc"', ["'output' comes only from the command line"]),
        ('write-baseline = "x"', ["'write-baseline' comes only from"]),
        ('format = ["json=/etc/passwd"]', ["'format' comes only from"]),
        ('database = "postgresql://evil/"', ["'database' comes only from"]),
        (
            'plain-http-registries = ["evil:5000"]',
            ["comes only from the command line, the environment or your own configuration"],
        ),
        ('credential_hosts = ["evil"]', ["'credential_hosts' comes only from"]),
    ],
)
def test_what_a_project_file_may_not_say(tmp_path: Path, text: str, words: list[str]) -> None:
    """One line that names the file, the line, the key, and what would do."""
    (tmp_path / "kdoctor.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "kdoctor.toml"))
    assert "\n" not in message
    for word in words:
        assert word in message.replace(f"{tmp_path}/", "")


def test_the_users_own_file_may_name_an_interpreter(tmp_path: Path) -> None:
    """The user's own configuration, the environment and the command line may say what the project may not."""
    environ = own(tmp_path, 'python = "/opt/tf/bin/python"')
    assert load(tmp_path / "project", environ=environ).python == "/opt/tf/bin/python"
    assert load(tmp_path, environ={"KDOCTOR_PYTHON": "/usr/bin/python3"}).python == "/usr/bin/python3"
    assert load(tmp_path, {"output": Path("report.json")}).output == "report.json"


def test_a_named_file_inside_the_scanned_folder_is_still_the_projects(tmp_path: Path) -> None:
    """``--config`` does not make the scanned project trusted; a file from elsewhere is the user's own."""
    project = tmp_path / "project"
    project.mkdir()
    inside, outside = project / "ci.toml", tmp_path / "mine.toml"
    for file in (inside, outside):
        file.write_text('python = "/opt/tf/bin/python"')
    with pytest.raises(UsageError, match="comes only from"):
        load(project, config=inside)
    assert load(project, config=outside).python == "/opt/tf/bin/python"
    assert load(project, environ={"KDOCTOR_CONFIG": str(outside)}).python == "/opt/tf/bin/python"


def test_a_project_cannot_lift_the_wish_for_no_network(tmp_path: Path) -> None:
    """offline = true in the user's own file stays, whatever the project says; the command line may ask for it too."""
    environ = own(tmp_path, "offline = true")
    (tmp_path / "kdoctor.toml").write_text("offline = false")
    assert load(tmp_path, environ=environ).offline
    assert not load(tmp_path).offline
    assert load(tmp_path, {"offline": True}).offline


def test_a_baseline_lies_beside_the_file_that_names_it(tmp_path: Path) -> None:
    """A path in a configuration is relative to that file, one on the command line to the working folder."""
    (tmp_path / "kdoctor.toml").write_text('baseline = "known.json"')
    assert load(tmp_path).baseline == str(tmp_path / "known.json")
    assert load(tmp_path, {"baseline": Path("known.json")}).baseline == "known.json"


@pytest.mark.parametrize(("word", "value"), [("1", True), ("yes", True), ("TRUE", True), ("0", False), ("off", False)])
def test_switches_in_the_environment(tmp_path: Path, word: str, value: bool) -> None:
    """The usual words for on and off."""
    assert load(tmp_path, environ={"KDOCTOR_OFFLINE": word}).offline is value
    assert load(tmp_path, environ={"KDOCTOR_NO_PROGRESS": word}).progress is not value


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("KDOCTOR_OFFLINE", "maybe", "KDOCTOR_OFFLINE='maybe': expected one of 1, true"),
        ("KDOCTOR_FAIL_ON", "all", "KDOCTOR_FAIL_ON: fail-on is 'all', expected"),
        ("KDOCTOR_FAILON", "info", "did you mean KDOCTOR_FAIL_ON?"),
        ("KDOCTOR_SEVERITY", "x", "in a configuration file only"),
        ("KDOCTOR_SELECT", "KD999", "KDOCTOR_SELECT: 'KD999' is no code"),
    ],
)
def test_what_the_environment_may_not_say(tmp_path: Path, variable: str, value: str, words: str) -> None:
    """The variable is named, and what would do."""
    with pytest.raises(UsageError, match="KDOCTOR_") as caught:
        load(tmp_path, environ={variable: value})
    assert words in str(caught.value)


def test_image_options_in_the_environment(tmp_path: Path) -> None:
    """--image, --platform, --pull, --run and --no-cache have their variables; the command line wins over them."""
    environ = {
        "KDOCTOR_IMAGE": "app:1, other:2",
        "KDOCTOR_PLATFORM": "linux/arm64",
        "KDOCTOR_PULL": "missing",
        "KDOCTOR_RUN": "1",
        "KDOCTOR_NO_CACHE": "yes",
        "KDOCTOR_PLAIN_HTTP_REGISTRIES": "reg.internal:5000",
    }
    settings = load(tmp_path, environ=environ)
    assert settings.image == ("app:1", "other:2")
    assert (settings.platform, settings.pull, settings.run, settings.cache) == ("linux/arm64", "missing", True, False)
    assert settings.plain_http_registries == ("reg.internal:5000",)
    flags = {"image": ["mine:1"], "pull": "never", "cache": True}
    settings = load(tmp_path, flags, environ)
    assert (settings.image, settings.pull, settings.cache) == (("mine:1",), "never", True)
    assert load(tmp_path, {"cache": False}).origin("cache") == "--no-cache"
    assert load(tmp_path, environ={"KDOCTOR_CACHE": "0"}).cache is False


@pytest.mark.parametrize("text", ['pull = "always"', "run = true", 'plain-http-registries = ["reg:5000"]'])
def test_a_project_never_decides_what_is_pulled_run_or_asked_without_tls(tmp_path: Path, text: str) -> None:
    """These come from the user alone; the user's own file may set them."""
    (tmp_path / "kdoctor.toml").write_text(text)
    with pytest.raises(UsageError, match="never from the scanned project"):
        load(tmp_path)
    (tmp_path / "kdoctor.toml").unlink()
    assert load(tmp_path, environ=own(tmp_path, text)) != Settings()


def test_an_image_is_named_for_one_run(tmp_path: Path) -> None:
    """No file sets --image: the key of the gate's policy is named instead."""
    (tmp_path / "kdoctor.toml").write_text('image = "app:1"')
    with pytest.raises(UsageError, match="did you mean 'images'"):
        load(tmp_path)


@pytest.mark.parametrize("host", ["http://reg:5000", "reg:5000/app", "reg:port", ""])
def test_plain_http_registries_are_hosts(tmp_path: Path, host: str) -> None:
    """A URL or a repository is refused: it would never match, and the user would not know."""
    with pytest.raises(UsageError, match="HOST or HOST:PORT"):
        load(tmp_path, environ=own(tmp_path, f'plain-http-registries = ["{host}"]'))


def test_variables_of_others_under_the_same_prefix_are_left_alone(tmp_path: Path) -> None:
    """KDOCTOR_E2E or KDOCTOR_VERSION in a pipeline are not ours."""
    assert load(tmp_path, environ={"KDOCTOR_E2E": "1", "KDOCTOR_VERSION": "0.1.0"}) == Settings()


def test_another_tools_broken_pyproject_is_not_our_fault(tmp_path: Path) -> None:
    """A pyproject.toml that does not mention kdoctor is not parsed; one that does must be TOML."""
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert load(tmp_path) == Settings()
    (tmp_path / "pyproject.toml").write_text("[tool.kdoctor\n")
    with pytest.raises(UsageError, match="not valid TOML"):
        load(tmp_path)


def test_two_files_in_one_folder_are_refused(tmp_path: Path) -> None:
    """Neither kdoctor.toml nor [tool.kdoctor] is ignored in silence."""
    (tmp_path / "kdoctor.toml").write_text('fail-on = "info"')
    (tmp_path / "pyproject.toml").write_text('[tool.kdoctor]\nfail-on = "never"')
    with pytest.raises(UsageError, match="keep one of the two"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"#" * ((1 << 20) + 1), "larger than 1 MiB"),
        (b"a = " + b"[" * 90_000, "kdoctor.toml: "),
    ],
)
def test_unreadable_files_give_one_line(tmp_path: Path, data: bytes, words: str) -> None:
    """Binary, huge and deeply nested files are refused with their name."""
    (tmp_path / "kdoctor.toml").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        load(tmp_path)
    assert words in str(caught.value)


def test_a_named_file_must_be_there_and_hold_settings(tmp_path: Path) -> None:
    """``--config`` names a file that exists; a pyproject.toml without [tool.kdoctor] is a mistake."""
    with pytest.raises(UsageError, match=r"absent\.toml: cannot be read: No such file"):
        load(tmp_path, config=tmp_path / "absent.toml")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(UsageError, match=r"no \[tool.kdoctor\]"):
        load(tmp_path, config=tmp_path / "pyproject.toml")


def test_keys_are_written_with_dashes_and_understood_with_underscores(tmp_path: Path) -> None:
    """Both spellings of a key are one key."""
    assert "fail-on" in KEYS
    (tmp_path / "kdoctor.toml").write_text('fail_on = "info"')
    assert load(tmp_path).fail_on == "info"


def test_files_below_the_working_folder_are_named_briefly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a report says of a policy does not depend on where the checkout lies."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kdoctor.toml").write_text('fail-on = "info"')
    assert load(Path.cwd()).origin("fail_on") == "kdoctor.toml:1"
