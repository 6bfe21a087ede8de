"""Check the template and deploy it: `deploy_aws.py [--dry-run] ENV`, run by the Python that has cfn-lint.

A dry run needs no credentials, no Docker and no AWS CLI: it checks what can be checked here and prints the commands.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "deploy" / "aws"
TEMPLATE = FOLDER / "template.yaml"
PARAMETERS = frozenset({"VpcId", "SubnetIds", "ChromaUrl", "AlarmTopicArn", "LogRetentionDays", "ReservedConcurrency"})
NEEDED = frozenset({"VpcId", "SubnetIds"})

Command = tuple[str, ...]


def read_environment(name: str) -> dict[str, Any]:
    """The installation of this name; ends the program if its file is missing or incomplete."""
    path = FOLDER / "environments" / f"{name}.toml"
    if not name or not path.is_file():
        known = ", ".join(sorted(each.stem for each in path.parent.glob("*.toml")))
        sys.exit(f"make deploy ENV=NAME takes a file of deploy/aws/environments; there are: {known}")
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    given = set(found.get("parameters", {}))
    if not {"region", "repository"} <= set(found) or not NEEDED <= given <= PARAMETERS:
        sys.exit(f"{path.name} needs region, repository and [parameters] with {', '.join(sorted(NEEDED))}.")
    return found


def commands(name: str, environment: dict[str, Any], *, revision: str) -> list[Command]:
    """What deploys the installation, in order."""
    region, repository = environment["region"], environment["repository"]
    image = f"{repository}:{revision}"
    given = {**environment["parameters"], "Environment": name, "ImageUri": image}
    registry = repository.partition("/")[0]
    login = f"aws ecr get-login-password --region {region} | docker login --username AWS --password-stdin {registry}"
    return [
        ("docker", "build", "--platform", "linux/amd64", "--build-arg", "EXTRAS=aws", "--tag", image, str(ROOT)),
        ("sh", "-c", login),
        ("docker", "push", image),
        (
            *("aws", "cloudformation", "deploy", "--region", region, "--stack-name", f"sluice-{name}"),
            *("--template-file", str(TEMPLATE), "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"),
            *("--no-fail-on-empty-changeset", "--parameter-overrides"),
            *(f"{key}={value}" for key, value in sorted(given.items()) if value != ""),
        ),
    ]


def check_template() -> None:
    """Have cfn-lint read the template; ends the program if it finds anything."""
    lint = Path(sys.executable).with_name("cfn-lint")
    found = subprocess.run((str(lint), str(TEMPLATE)), check=False)  # noqa: S603  # our own tool and file
    if found.returncode:
        sys.exit("The template has faults; nothing was deployed.")
    print("cfn-lint finds nothing wrong with deploy/aws/template.yaml")


def find_revision() -> str:
    command = ("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD")
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # as above
    return found.stdout.strip() or "latest"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description="Deploy Sluice to AWS.")
    parser.add_argument("environment", help="a file of deploy/aws/environments, without its ending")
    parser.add_argument("--dry-run", action="store_true", help="check, and print what would be done")
    options = parser.parse_args(arguments)
    environment = read_environment(options.environment)
    check_template()
    for command in commands(options.environment, environment, revision=find_revision()):
        print(("would run: " if options.dry_run else "") + shlex.join(command).replace(f"{ROOT}/", ""), flush=True)
        if not options.dry_run:
            subprocess.run(command, check=True)  # noqa: S603  # built above, and shown


if __name__ == "__main__":
    main(sys.argv[1:])
