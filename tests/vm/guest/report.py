"""One line for each promise: `ok NAME`, `not ok NAME: why`, `skip NAME: why`."""

import sys
import time
import traceback


class Skip(Exception):
    """The promise cannot be tried here, and why."""


def say(line):
    print(line.replace("\n", " | "), flush=True)


def run(promise):
    """Tries a promise: a function whose module and name are the name of its line. True if it holds."""
    name = f"{promise.__module__}.{promise.__name__}"
    began = time.monotonic()
    try:
        promise()
    except Skip as why:
        say(f"skip {name}: {why}")
    except BaseException as error:  # whatever happens, the next promise is tried too
        place = traceback.extract_tb(error.__traceback__)[-1]
        say(f"not ok {name}: {type(error).__name__}: {error} ({place.filename.rsplit('/', 1)[-1]}:{place.lineno})")
        return False
    else:
        say(f"ok {name}")
    finally:
        say(f"# {time.monotonic() - began:.1f} s")
    return True


def equal(found, expected, what):
    """Or what was found."""
    if found != expected:
        raise AssertionError(f"{what}: {found!r}, expected {expected!r}")


def true(condition, what):
    """Or what is not so."""
    if not condition:
        raise AssertionError(what)


sys.stdout.reconfigure(errors="backslashreplace")
