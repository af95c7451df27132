"""Child processes that die, say nothing, hang, or outlive us: a clear error each, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from py_rt.demo import children
from py_rt.demo.children import ApiKey, Child, DemoError, VenueOptions, start
from py_rt.demo.place import Place

PATIENCE_S = 20.0
SHORT_S = 0.3
HANG = "import time; time.sleep(1000)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(1000)"


def python(code: str, folder: Path, *, is_read: bool = False, **environ: str) -> Child:
    command = [sys.executable, "-c", code]
    return start(command, "the child", folder / "child.log", {**os.environ, **environ}, is_read=is_read)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in {"Z", "X"}


def until_gone(pid: int) -> None:
    ends = time.monotonic() + PATIENCE_S
    while is_alive(pid):
        assert time.monotonic() < ends, f"process {pid} still runs"
        time.sleep(0.01)


def command_of(folder: Path, code: str) -> str:
    """An installed command that does what a test says."""
    file = folder / "command"
    file.write_text(f"#!{sys.executable}\n{code}\n", encoding="utf-8")
    file.chmod(0o700)
    return str(file)


def options(folder: Path) -> VenueOptions:
    return VenueOptions(folder / "bars.csv", 1, 2, 3, 4, 5, ("1", "2"))


def test_one_that_dies_is_named_with_its_last_words_and_its_log(tmp_path: Path) -> None:
    code = "import sys; sys.stderr.write('no such venue\\n'); sys.exit(7)"
    with python(code, tmp_path) as child, pytest.raises(DemoError) as caught:
        child.wait_for(lambda: False, "it was ready", patience_s=PATIENCE_S)
    assert str(caught.value) == f"the child ended with 7 before it was ready\nno such venue\nlog: {tmp_path}/child.log"


def test_one_that_is_never_ready_is_named_and_ended(tmp_path: Path) -> None:
    with python(HANG, tmp_path) as child, pytest.raises(DemoError, match=r"it was ready did not come in 0\.3 s"):
        child.wait_for(lambda: False, "it was ready", patience_s=SHORT_S)
    assert not is_alive(child.process.pid)


def test_one_that_falls_silent_is_named(tmp_path: Path) -> None:
    code = f"print('one', flush=True); {HANG}"
    with python(code, tmp_path, is_read=True) as child:
        lines = child.lines(PATIENCE_S)
        assert next(lines) == "one"
        with pytest.raises(DemoError, match=r"the child has said nothing for 0\.3 s"):
            list(child.lines(SHORT_S))
    assert not is_alive(child.process.pid)


def test_lines_come_whole_however_they_are_written(tmp_path: Path) -> None:
    parts = (b"a", b"b\nc", b"\xff\n", b"\n", b"last")
    code = f"import os, time\nfor part in {parts!r}: os.write(1, part); time.sleep(0.02)"
    with python(code, tmp_path, is_read=True) as child:
        assert list(child.lines(PATIENCE_S)) == ["ab", "c\ufffd", "", "last"]


def test_what_is_no_json_is_passed_over(tmp_path: Path) -> None:
    heard: list[object] = []
    with python("print('hello'); print('{\"a\": 1}'); raise SystemExit(3)", tmp_path, is_read=True) as child:
        assert children.hear(child, heard.append) == 3
    assert heard == [{"a": 1}]


def test_one_that_is_deaf_is_killed_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "STOP_PATIENCE_S", SHORT_S)
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {DEAF!r}]).pid, flush=True); {DEAF}"
    with python(code, tmp_path, is_read=True) as child:
        lines = child.lines(PATIENCE_S)
        grandchild = int(next(lines))
        assert [next(lines), next(lines)] == ["deaf", "deaf"]
        with pytest.raises(DemoError, match=r"the child did not end in 0\.3 s"):
            child.stop()
        assert is_alive(child.process.pid)
    until_gone(child.process.pid)
    until_gone(grandchild)


def test_a_signal_while_one_is_being_ended_makes_it_end_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with python(DEAF, tmp_path, is_read=True) as child:
        assert next(child.lines(PATIENCE_S)) == "deaf"
        wait = child.process.wait

        def impatient(timeout: float | None = None) -> int:
            if timeout is None:
                return wait()
            raise KeyboardInterrupt

        monkeypatch.setattr(child.process, "wait", impatient)
        with pytest.raises(KeyboardInterrupt):
            child.end()
    assert not is_alive(child.process.pid)


def test_one_that_has_ended_is_left_alone(tmp_path: Path) -> None:
    with python("raise SystemExit(5)", tmp_path) as child:
        assert child.wait(PATIENCE_S) == 5
        child.end()
        assert child.stop() == 5


def test_ctrl_c_in_the_terminal_does_not_reach_it(tmp_path: Path) -> None:
    with python(HANG, tmp_path) as child:
        assert os.getpgid(child.process.pid) == child.process.pid != os.getpgid(0)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed")
def test_it_ends_when_we_are_killed(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys, time; from py_rt.demo.children import start\n"
        f"child = start([sys.executable, '-c', {HANG!r}], 'c', pathlib.Path({str(tmp_path / 'log')!r}), os.environ)\n"
        "print(child.process.pid, flush=True); time.sleep(1000)"
    )
    ours = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert ours.stdout is not None
    theirs = int(ours.stdout.readline())
    # It is told to end with us before it becomes what was asked for.
    ends = time.monotonic() + PATIENCE_S
    while b"setpriv" in Path(f"/proc/{theirs}/cmdline").read_bytes():
        assert time.monotonic() < ends, "setpriv has not handed over"
        time.sleep(0.01)
    assert is_alive(theirs)
    ours.kill()
    ours.wait(PATIENCE_S)
    ours.stdout.close()
    until_gone(theirs)


VENUES = [
    ("import sys; sys.exit('bars.csv: row 3 has 5 fields')", "the venue server ended with 1 before it was ready\nbars"),
    (f"print('ready', flush=True); {HANG}", "said 'ready' where its addresses were expected"),
    (HANG, "the venue server has said nothing for 0.3 s"),
]


@pytest.mark.parametrize(("code", "said"), VENUES, ids=["dies", "garbage", "silent"])
def test_a_venue_that_does_not_start_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    started: list[Child] = []

    def noted(*args: object, **named: object) -> Child:
        started.append(start(*args, **named))  # type: ignore[arg-type]
        return started[-1]

    monkeypatch.setattr(children, "start", noted)
    monkeypatch.setattr(children, "find_command", lambda _name: command_of(tmp_path, code))
    if "nothing" in said:
        monkeypatch.setattr(children, "START_PATIENCE_S", SHORT_S)
    with pytest.raises(DemoError, match=said):
        children.start_venue(options(tmp_path), ApiKey.fresh(), tmp_path / "venue.log")
    assert not is_alive(started[0].process.pid)


def test_a_service_that_ends_at_once_is_named_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; sys.exit('service.toml:3: no such key')"
    monkeypatch.setattr(children, "find_command", lambda _name: command_of(tmp_path, code))
    with pytest.raises(DemoError, match=r"the service ended with 1 before .*\nservice\.toml:3: no such key\nlog: "):
        children.start_service(tmp_path / "service.toml", tmp_path, ApiKey.fresh(), tmp_path / "service.log")


def test_a_module_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "SILENCE_PATIENCE_S", SHORT_S)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "hanging.py").write_text(HANG, encoding="utf-8")
    place = Place(tmp_path, tmp_path, tmp_path)
    with pytest.raises(DemoError, match=r"python -m hanging has said nothing for 0\.3 s"):
        children.hear_module("hanging", [], place, tmp_path / "log", lambda _line: None)


def test_a_module_works_in_this_home_with_this_run_only(tmp_path: Path) -> None:
    environ = children.environment(Place(tmp_path / "home", tmp_path / "run", tmp_path / "short"))
    assert environ["PY_RT_HOME"] == str(tmp_path / "home")
    assert environ["PY_RT_RUN_FOLDER"] == str(tmp_path / "short")


def test_a_command_that_is_not_installed_says_what_to_do() -> None:
    with pytest.raises(DemoError, match=r"no_such_command is not installed beside .*: install py_rt"):
        children.find_command("no_such_command")


def test_the_secret_is_in_the_environment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = 'import time; print(\'{"rest": "http://127.0.0.1:1"}\', flush=True); time.sleep(1000)'
    monkeypatch.setattr(children, "find_command", lambda _name: command_of(tmp_path, code))
    key = ApiKey.fresh()
    venue, addresses = children.start_venue(options(tmp_path), key, tmp_path / "venue.log")
    with venue:
        line = Path(f"/proc/{venue.process.pid}/cmdline").read_bytes()
        assert b"--bars" in line
        assert addresses == {"rest": "http://127.0.0.1:1"}
        for told in (repr(key), str(key), repr(venue), line.decode(), str(venue.failure("failed")), venue.tail()):
            assert key.secret not in told
    assert venue.process.returncode == -signal.SIGTERM


def test_no_two_runs_share_a_secret() -> None:
    assert ApiKey.fresh().secret != ApiKey.fresh().secret
