"""Stages run in order: each runs tools in their own process group, keeps a log, and is skipped while nothing changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from muxflow.board.bitstream.output import LONGEST_LINE, follow, shown_errors
from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.files import file_hash, read_json, read_lines
from muxflow.dataflow.manifest import files_below
from muxflow.dataflow.outputs import check_unlinked, write_below

Tell = Callable[[str, str], None]
"""`tell(stage, activity)`: what its tool does now; no activity, an empty text, when the stage begins."""


@dataclass(frozen=True)
class Stage:
    """What is run, and kept, as a whole on the way to the bitstream.

    `commands`: run one after the other in the runner's folder. `inputs`: files and folders whose content the result depends
    on; `settings`: whatever else it depends on (tool versions), commands excepted; `after`: stages whose results it uses.
    `products`: files that must be there and not empty afterwards, and `reports` those that may be there: both must stay as they
    are; `workspace`: files that must be there too, and in which later stages work. `clean`: what a former run left and must go
    first.
    `expects`: a pattern that a line of the log must hold; `check`: looks at the results in Python and raises ToolError when they
    are not good.
    """

    name: str
    commands: tuple[tuple[str, ...], ...] = ()
    inputs: tuple[Path, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    products: tuple[Path, ...] = ()
    reports: tuple[Path, ...] = ()
    workspace: tuple[Path, ...] = ()
    clean: tuple[Path, ...] = ()
    expects: str = ""
    check: Callable[[], object] | None = None


@dataclass(frozen=True)
class Outcome:
    """A stage that is done: seconds it took, 0 and `kept` when its former result was still good.

    `why`: what was wrong with a former result that should have been good; else "".
    """

    name: str
    seconds: float
    kept: bool
    log: Path
    why: str = ""


@dataclass(frozen=True)
class Runner:
    """Where stages run: the folder, with `logs/` and `stamps/` in it, variables of the tools, seconds a stage may take.

    `holds`: descriptors that the tools inherit: a tool that outlives this process holds the folder as long as it runs.
    """

    folder: Path
    environment: Mapping[str, str]
    timeout: float
    holds: tuple[int, ...] = ()

    def log(self, stage: str) -> Path:
        """Locate a stage's log."""
        return self.folder / "logs" / f"{stage}.log"

    def forget(self, stage: str) -> None:
        """Let a stage run again though nothing that Muxflow knows of changed."""
        stamp = self.folder / "stamps" / f"{stage}.json"
        check_unlinked(self.folder, stamp)
        stamp.unlink(missing_ok=True)

    def run(
        self, stages: Sequence[Stage], tell: Tell, unchanged: Callable[[], None] = lambda: None
    ) -> tuple[Outcome, ...]:
        """Run the stages in order, those whose inputs, settings or predecessors changed since their last success.

        `unchanged` raises MuxflowError where what they begin with is no longer the same: before a stage, and before it counts
        as done. Raises ToolError naming the stage, its last error lines and its log; nothing of a failed stage counts as done.
        """
        keys: dict[str, str] = {}
        outcomes = []
        for stage in stages:
            unchanged()
            keys[stage.name] = key = _key(stage, keys)
            stamp = self.folder / "stamps" / f"{stage.name}.json"
            log = self.log(stage.name)
            check_unlinked(self.folder, stamp, log, *stage.clean)
            why = self._fault(stage, key)
            if why is None:
                outcomes.append(Outcome(stage.name, 0.0, True, log))
                continue
            tell(stage.name, "")
            if why and any(one.name in stage.after and not one.kept for one in outcomes):
                why = ""  # that stage removed it
            if why:
                tell(stage.name, why)
            started = time.monotonic()
            try:
                stamp.unlink(missing_ok=True)
                log.parent.mkdir(parents=True, exist_ok=True)
                # A pipe or a link in its place would be waited for, or written through.
                log.unlink(missing_ok=True)
                for path in stage.clean:
                    _remove(path)
            except OSError as error:
                raise MuxflowError(
                    f"{error.filename or self.folder}: stage {stage.name} cannot begin ({error.strerror}); remove it, or see "
                    "that the folder can be written"
                ) from error
            self._run(stage, log, tell)
            unchanged()
            entry = {"key": key, "results": self._results(stage)}
            write_below(self.folder, {f"stamps/{stamp.name}": (json.dumps(entry, indent=1) + "\n").encode()})
            outcomes.append(Outcome(stage.name, time.monotonic() - started, False, log, why))
        return tuple(outcomes)

    def good(self, stages: Sequence[Stage]) -> frozenset[str]:
        """Name those of all stages whose results are there, as they left them and of what there is now."""
        keys: dict[str, str] = {}
        for stage in stages:
            keys[stage.name] = _key(stage, keys)
        return frozenset(stage.name for stage in stages if self._fault(stage, keys[stage.name]) is None)

    def _fault(self, stage: Stage, key: str) -> str | None:
        """Say what of a stage's result is not as it left it; "" where it never was one of this key, None where it is good."""
        try:
            stamp = read_json(self.folder / "stamps" / f"{stage.name}.json")
            left, known = stamp["results"], stamp["key"]
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        if known != key or not isinstance(left, dict):
            return ""
        found, missing = self._results(stage), _missing(stage)
        for path in (*stage.products, *stage.reports, *stage.workspace):
            name = self._name(path)
            if path in missing or left.get(name) != found.get(name):
                return f"{name} is not as this stage left it"
        try:
            if stage.check is not None:
                stage.check()
        except MuxflowError:
            return "a report of this stage is gone, or not whole"
        return None

    def _results(self, stage: Stage) -> dict[str, str]:
        """Hash what a stage left and nothing changes, by its place in the folder."""
        return {self._name(path): file_hash(path) for path in (*stage.products, *stage.reports) if path.is_file()}

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _run(self, stage: Stage, log: Path, tell: Tell) -> None:
        def tell_activity(text: str) -> None:
            tell(stage.name, text)

        for number, command in enumerate(stage.commands):
            self._command(stage.name, command, log, tell_activity, append=number > 0)
        if stage.expects and not any(re.search(stage.expects, line[:LONGEST_LINE]) for line in read_lines(log)):
            raise ToolError(
                f"stage {stage.name}: the tool ended without an error, but its log does not say {stage.expects!r}; log: {log}"
                f"{shown_errors(log)}"
            )
        missing = _missing(stage)
        if missing:
            names = ", ".join(str(path) for path in missing)
            raise ToolError(
                f"stage {stage.name}: ended without an error, but did not make {names}; log: {log}{shown_errors(log)}"
            )
        if stage.check is not None:
            stage.check()

    def _command(self, name: str, command: Sequence[str], log: Path, tell: Callable[[str], None], append: bool) -> None:
        deadline = time.monotonic() + self.timeout
        try:
            with log.open("ab" if append else "wb") as file:

                def write(data: bytes) -> None:
                    file.write(data)
                    file.flush()

                write(f"$ {shlex.join(command)}\n".encode())
                code = follow(command, self.folder, self.environment, deadline, write, tell, self.holds)
        except TimeoutError:
            raise ToolError(
                f"stage {name}: stopped after {self.timeout / 60:g} minutes (--timeout); log: {log}{shown_errors(log)}"
            ) from None
        except OSError as error:
            raise ToolError(f"stage {name}: stopped, {error.filename or log}: {error.strerror}") from error
        if code:
            how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
            raise ToolError(f"stage {name}: {Path(command[0]).name} {how}; log: {log}{shown_errors(log)}")


def _key(stage: Stage, keys: Mapping[str, str]) -> str:
    """Hash what the result depends on; not of where the tools and the folder are, nor of the number of jobs."""
    digest = hashlib.sha256(json.dumps([stage.name, dict(stage.settings)], sort_keys=True).encode())
    for name in stage.after:
        digest.update(f"\0{name}={keys.get(name, '')}".encode())
    for path in stage.inputs:
        for file in files_below(path):
            if file.is_file():
                inside = file.relative_to(path.parent).as_posix()
                digest.update(b"\0" + os.fsencode(inside) + b"\0" + bytes.fromhex(file_hash(file)))
    return digest.hexdigest()


def _missing(stage: Stage) -> list[Path]:
    return [path for path in (*stage.products, *stage.workspace) if not path.is_file() or path.stat().st_size == 0]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
