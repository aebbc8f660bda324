"""The schema of the configuration in the hands of others: jsonschema and taplo judge files by it.

    python3 schema.py LINGATE REPOSITORY

LINGATE: the binary. Prints one line for each thing that was shown; fails at the first that is not so.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib

import jsonschema

# Wrong in a key or a type, which a schema can say; the words are the folders' names.
WRONG = ["key-unknown", "secret-password", "class-wrong", "dataset-priority-wrong", "duration-wrong", "size-wrong-unit", "driver-unknown"]


def main(lingate, repository):
    config = pathlib.Path(repository) / "config"
    schema = json.loads(subprocess.run([lingate, "schema"], check=True, capture_output=True).stdout)
    jsonschema.Draft7Validator.check_schema(schema)
    cases = sorted((config / "tests/cases").iterdir())
    good = sorted((config / "examples").glob("*.toml")) + [case / "lingate.toml" for case in cases if case.name.startswith("good-")]
    bad = [case / "lingate.toml" for case in cases if any(case.name.startswith(word) for word in WRONG)]
    assert len(good) >= 12 and len(bad) >= 12, (len(good), len(bad))
    validator = jsonschema.Draft7Validator(schema)
    for file in good:
        errors = [error.message for error in validator.iter_errors(tomllib.loads(file.read_text("utf-8-sig")))]
        assert not errors, f"{file}: {errors}"
    for file in bad:
        assert not validator.is_valid(tomllib.loads(file.read_text("utf-8-sig"))), f"{file} is valid"
    print(f"jsonschema: {len(good)} good files are valid, {len(bad)} bad ones are not")

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "lingate.schema.json").write_text(json.dumps(schema))
        for file in good:
            assert taplo_finds(folder, file) == "", f"taplo: {file}"
        for file in bad:
            assert taplo_finds(folder, file) != "", f"taplo finds nothing in {file}"
        print("taplo: the same of the same files, by their first line")


def taplo_finds(folder, file):
    """What taplo says of a file that names the schema in its first line, as the samples do."""
    text = file.read_text("utf-8-sig")
    first = "#:schema ./lingate.schema.json\n"
    (folder / "lingate.toml").write_text(text if text.startswith("#:schema") else first + text)
    taplo = pathlib.Path(sys.executable).parent / "taplo"
    done = subprocess.run([taplo, "check", "lingate.toml"], cwd=folder, capture_output=True, text=True, env={"RUST_LOG": "error"})
    return "" if done.returncode == 0 else done.stderr


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
