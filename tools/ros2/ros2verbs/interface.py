# SPDX-License-Identifier: Apache-2.0
"""`ros2 interface`."""

import argparse
import re
from pathlib import Path

from .cli import UsageError, add_verbs

_KINDS = {"msg": "Messages", "srv": "Services", "action": "Actions"}
_BASIC = re.compile(r"(bool|byte|char|float\d+|u?int\d+|w?string)\b")


def definition_path(package: str, kind: str, name: str) -> Path:
    """Return the installed definition of an interface.

    Raises:
        UsageError: no such interface.
    """
    from .pkg import prefix_of

    path = prefix_of(package) / "share" / package / kind / f"{name}.{kind}"
    if not path.is_file():
        raise UsageError(f"Unknown interface '{package}/{kind}/{name}': no file {path}")
    return path


def names_of(package: str, kind: str) -> list[str]:
    """Return the interfaces of one kind that a package installs."""
    from .pkg import prefix_of

    return sorted(p.stem for p in (prefix_of(package) / "share" / package / kind).glob(f"*.{kind}"))


def _referenced(code: str, package: str) -> tuple[str, str] | None:
    """Return (package, name) of the message that a line's field is made of."""
    base = re.split(r"[\[<\s]", code, maxsplit=1)[0]
    if code == "---" or _BASIC.match(base):
        return None
    owner, _, name = base.rpartition("/")
    return owner.split("/")[0] or package, name


def _lines(path: Path, package: str, comments: bool, indent: str = "") -> list[str]:
    result = []
    for line in path.read_text().splitlines():
        code = line.split("#")[0].strip()
        if not code:
            if comments and not indent:
                result.append(line)
            continue
        result.append(line if comments and not indent else indent + code)
        nested = _referenced(code, package)
        if nested is not None:
            path = definition_path(nested[0], "msg", nested[1])
            result += _lines(path, nested[0], comments, indent + "\t")
    return result


def full_definition(type_name: str) -> str:
    """Return a message's definition followed by those it is made of, as bags store it."""
    package, _, name = type_name.split("/")
    pending, texts = [(package, name)], {}
    while pending:
        owner, name = pending.pop(0)
        if (owner, name) in texts:
            continue
        text = definition_path(owner, "msg", name).read_text()
        texts[owner, name] = text
        codes = (line.split("#")[0].strip() for line in text.splitlines())
        pending += [ref for code in codes if code and (ref := _referenced(code, owner))]
    (_, first), *others = texts.items()
    return first + "".join(
        f"\n{'=' * 80}\nMSG: {owner}/{name}\n{text}" for (owner, name), text in others
    )


def _show(args: argparse.Namespace) -> int:
    parts = args.type.split("/")
    if len(parts) != 3 or parts[1] not in _KINDS:
        raise UsageError(f"'{args.type}': expected a name like std_msgs/msg/String")
    path = definition_path(*parts)
    print(*_lines(path, parts[0], not args.no_comments), sep="\n")
    return 0


def _list(args: argparse.Namespace) -> int:
    from ament_index_python.resources import get_resources

    packages = sorted(get_resources("rosidl_interfaces"))
    wanted = [k for k in _KINDS if getattr(args, f"only_{k}s")] or list(_KINDS)
    for kind in wanted:
        print(f"{_KINDS[kind]}:")
        for package in packages:
            for name in names_of(package, kind):
                print(f"    {package}/{kind}/{name}")
    return 0


def _package(args: argparse.Namespace) -> int:
    for kind in _KINDS:
        for name in names_of(args.package_name, kind):
            print(f"{args.package_name}/{kind}/{name}")
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `ros2 interface`."""

    def show(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("type", help="such as std_msgs/msg/String")
        verb.add_argument("--no-comments", action="store_true")

    def listing(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("-m", "--only-msgs", action="store_true")
        verb.add_argument("-s", "--only-srvs", action="store_true")
        verb.add_argument("-a", "--only-actions", action="store_true")

    add_verbs(
        parser,
        {
            "show": ("Show the definition of an interface", show, _show),
            "list": ("List interfaces", listing, _list),
            "package": (
                "List interfaces of a package",
                lambda verb: verb.add_argument("package_name"),
                _package,
            ),
        },
    )
