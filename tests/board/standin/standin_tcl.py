"""A real Tcl interpreter whose vendor commands are Python: Python's own Tcl, or `tclsh` as a subprocess."""

import os
import shutil
import subprocess
from pathlib import Path


class VendorError(Exception):
    """What a vendor command reports as an error."""


class Exited(Exception):
    """A script called `exit`."""


class TclError(Exception):
    """A script ended with an error; the text is Tcl's."""


class Recorded:
    """Vendor commands as methods `do_NAME`; `calls` records every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def commands(self):
        """Name to function of every command."""

        def recorded(name, function):
            def call(*args):
                self.calls.append((name, *map(str, args)))
                return function(*map(str, args))

            return call

        names = [name for name in dir(self) if name.startswith("do_")]
        return {name[3:]: recorded(name[3:], getattr(self, name)) for name in names}


def _call(commands, name, args):
    return "" if (value := commands[name](*args)) is None else str(value)


def run_in_process(script: Path, commands, argv=()) -> int:
    """Sources a script in Python's Tcl and returns its exit code; raises TclError when it ends with an error."""
    import tkinter

    interpreter = tkinter.Tcl()
    state = {"code": None}

    def leave(code="0"):
        state["code"] = int(code)
        raise Exited

    def bind(name, function):
        def call(*args):
            try:
                return "" if (value := function(*args)) is None else str(value)
            except VendorError as error:
                # Python's Tcl gives exceptions no text: it goes through a variable.
                interpreter.setvar("::standin_message", f"ERROR: {error}")
                return "\x01error"

        interpreter.createcommand(f"standin_{name}", call)
        interpreter.eval(
            f"proc {name} args {{ set value [standin_{name} {{*}}$args]\n"
            f' if {{$value eq "\\x01error"}} {{ error $::standin_message }}\n return $value }}'
        )

    for name, function in commands.items():
        bind(name, function)
    interpreter.createcommand("exit", leave)
    interpreter.setvar("argv", _tcl_list(argv))
    interpreter.eval("fconfigure stdout -buffering line")
    try:
        interpreter.call("source", str(script))
    except Exited:
        pass
    except tkinter.TclError as error:
        if state["code"] is None:
            raise TclError(str(error)) from None
    return state["code"] or 0


PROLOGUE = r"""
rename cd standin_cd
proc cd folder { standin_cd $folder; standin_call chdir [pwd] }
fconfigure stdin -translation binary
fconfigure stdout -translation binary
rename puts standin_puts
proc puts args {
  # Output of the script; requests to Python begin with a byte 1.
  if {[llength $args] == 1} { standin_puts [lindex $args 0]; flush stdout } else { standin_puts {*}$args }
}
proc standin_call args {
  set words {}
  foreach word $args { lappend words x[binary encode hex [encoding convertto utf-8 $word]] }
  standin_puts "\x01$words"
  flush stdout
  gets stdin reply
  set value [encoding convertfrom utf-8 [binary decode hex [string range $reply 1 end]]]
  if {[string index $reply 0] eq "e"} { error $value }
  return $value
}
"""


def run_in_tclsh(script: Path, commands, argv=()) -> int:
    """The same with the `tclsh` program."""
    commands = {**commands, "chdir": os.chdir}
    program = [PROLOGUE]
    program += [
        f"proc {name} args {{ return [standin_call {name} {{*}}$args] }}" for name in commands if name != "chdir"
    ]
    program += [f"set argv {_tcl_list(argv)!r}".replace("'", '"'), f"source {{{script}}}", "exit 0"]
    file = script.with_name(f".{script.name}.standin")
    file.write_text("\n".join(program))
    try:
        with subprocess.Popen(
            ["tclsh", str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        ) as process:
            assert process.stdin is not None and process.stdout is not None and process.stderr is not None
            reader = process.stdout
            for line in iter(reader.readline, b""):
                if not line.startswith(b"\x01"):
                    print(line.decode(errors="replace").rstrip("\n"), flush=True)
                    continue
                name, *args = (bytes.fromhex(word[1:].decode()).decode() for word in line[1:].split())
                try:
                    reply = b"v" + _call(commands, name, args).encode().hex().encode()
                except VendorError as error:
                    reply = b"e" + f"ERROR: {error}".encode().hex().encode()
                process.stdin.write(reply + b"\n")
            message = process.stderr.read().decode(errors="replace")
        if message:
            raise TclError(message.splitlines()[0])
        return process.returncode
    finally:
        file.unlink()


def run_script(script: Path, commands, argv=()) -> int:
    """With Python's Tcl, or `tclsh` where Python has none; says so when there is neither."""
    try:
        import tkinter  # noqa: F401
    except ImportError:
        if shutil.which("tclsh") is None:
            raise RuntimeError(
                "the generated Tcl cannot be tested: this Python has no tkinter, and there is no tclsh on PATH "
                "(Debian and Ubuntu: `apt-get install tcl`)"
            ) from None
        return run_in_tclsh(script, commands, argv)
    return run_in_process(script, commands, argv)


def _tcl_list(words) -> str:
    return " ".join(f"{{{word}}}" for word in words)


def split_list(text: str) -> list[str]:
    """The elements of a Tcl list of plain words, braces and nesting of one level."""
    words, depth, word, open_word = [], 0, "", False
    for letter in text:
        if letter == "{":
            depth += 1
            open_word = True
            if depth == 1:
                continue
        if letter == "}":
            depth -= 1
            if depth == 0:
                continue
        if letter.isspace() and depth == 0:
            if word or open_word:
                words.append(word)
            word, open_word = "", False
            continue
        word += letter
    if word or open_word:
        words.append(word)
    return words


def make_list(words) -> str:
    """A Tcl list of words."""
    return " ".join(word if word and not set(word) & set(' {}[]$;"\\') else f"{{{word}}}" for word in words)
