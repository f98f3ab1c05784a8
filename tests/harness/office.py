"""The files of an office: `gateway.toml` as tables, and `secrets.json` without a Twilio account behind it."""

import atexit
import json
import os
import shutil
import tempfile

NUMBER = "+15035550100"
# An account that nobody asks for anything.
NOBODY = {"account_sid": "AC" + "0" * 32}
HOOKS = {"public_url": "https://hooks.example", "listen": "127.0.0.1:8080"}


def lan_password(extension):
    """What a test's secrets.json holds for a handset."""
    return f"Lan-{extension}-kept-4-tests"


def trunk_password(extension):
    """What it holds for the trunk's registration."""
    return f"Trunk-{extension}-kept-4-tests"


def short_folder():
    """A folder whose path leaves room for a socket's name (108 bytes in all), gone when the tests end."""
    path = tempfile.mkdtemp(prefix="gwlab-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def toml(tables):
    """The text of a config: `{"site": {"name": "x"}, "extension": [{"name": "101"}]}`. An empty table is left out."""
    lines = []
    for name, content in tables.items():
        is_array = isinstance(content, list)
        for table in filter(None, content if is_array else [content]):
            lines += [f"[[{name}]]" if is_array else f"[{name}]",
                      *(f"{key} = {json.dumps(value)}" for key, value in table.items()), ""]
    return "\n".join(lines)


def tables(folder, listen, trunk, extensions, *, site="interop", run_dir=None, twilio=NOBODY, webhook=HOOKS, number=(),
           **more):
    """An office's config as tables: `listen` is where handsets register; `extensions` and `number` are lists of tables,
    `more` are other tables by name, such as `clock={"sntp": []}`."""
    return {
        "site": {"name": site, "state_dir": f"{folder}/state", "run_dir": run_dir or short_folder()},
        "twilio": twilio,
        "trunk": trunk,
        "lan": {"listen": [listen]},
        "webhook": webhook,
        "emergency": {"caller_id": NUMBER},
        **more,
        "extension": list(extensions),
        "number": list(number),
    }


def write_config(folder, listen, trunk, extensions, *, ring=(), **more):
    """`gateway.toml` in `folder`; its path. Every extension shows NUMBER outside, and NUMBER rings those of `ring`.
    `more` is what [`tables`] takes."""
    number = [{"number": NUMBER, "ring": list(ring)}] if ring else []
    names = [{"name": extension, "caller_id": NUMBER} for extension in extensions]
    path = os.path.join(folder, "gateway.toml")
    with open(path, "w") as config:
        config.write(toml(tables(folder, listen, trunk, names, number=number, media={"ports": "20000-29999"}, **more)))
    return path


def secrets(extensions):
    """`secrets.json` as `gateway setup` leaves it (src/core/secrets.rs), for tests without a Twilio account."""
    return json.dumps({"auth_token": "0" * 32,
                       "extensions": {e: {"lan_password": lan_password(e), "trunk_passwords": {"prod": trunk_password(e)}}
                                      for e in extensions}})


def write_secrets(folder, extensions):
    """Writes them into the state folder below `folder`."""
    state = os.path.join(folder, "state")
    os.makedirs(state, mode=0o700, exist_ok=True)
    path = os.path.join(state, "secrets.json")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets(extensions))
