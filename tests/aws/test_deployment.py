"""The template of deploy/aws: the table that the code works on, and a dry run that needs nothing of AWS."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATE = REPOSITORY / "deploy" / "aws" / "template.yaml"
# moto's server brings cfn-lint along.
PYTHON = REPOSITORY / "tests" / "aws" / ".environment" / "bin" / "python"


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms, `!Ref` and its like, as what they are of."""


def _read_short_form(loader: Loader, _suffix: str, node: yaml.Node) -> Any:
    match node:
        case yaml.ScalarNode():
            return loader.construct_scalar(node)
        case yaml.SequenceNode():
            return loader.construct_sequence(node, deep=True)
        case _:
            return None


Loader.add_multi_constructor("!", _read_short_form)


@pytest.fixture
def resources() -> dict[str, Any]:
    template = yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader=Loader)
    found: dict[str, Any] = template["Resources"]
    return found


def test_the_table_is_the_one_that_the_code_makes(resources: dict[str, Any]) -> None:
    client = pytest.importorskip("app.stores.dynamo.client", reason="`make aws` installs the client of DynamoDB")
    table = resources["Table"]["Properties"]
    assert {name: table[name] for name in client.schema()} == client.schema()
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}


def test_the_role_may_do_to_the_table_what_the_code_does_and_no_more(resources: dict[str, Any]) -> None:
    """No scan, no change of the table, no other table."""
    source = "".join(path.read_text() for path in (REPOSITORY / "app/stores/dynamo").glob("*.py"))
    statements = [
        statement
        for policy in resources["Role"]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    [record] = [each for each in statements if each["Action"][0].startswith("dynamodb:")]
    called = {"BatchGetItem": "batch_get_item", "BatchWriteItem": "batch_write_item", "Query": ".query("}
    called |= {"GetItem": "get_item", "PutItem": "put_item", "UpdateItem": "update_item", "DeleteItem": "delete_item"}
    called |= {"ConditionCheckItem": "ConditionCheck"}
    assert {action.removeprefix("dynamodb:") for action in record["Action"]} == set(called)
    assert all(name in source for name in called.values())
    assert ".scan(" not in source
    assert all("*" not in action for statement in statements for action in statement["Action"])


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="`make clients` sets up the stand-in for AWS")
def test_a_dry_run_checks_the_template_and_shows_what_would_be_done(tmp_path: Path) -> None:
    """Without credentials, Docker or the AWS CLI."""
    command = (str(PYTHON), str(REPOSITORY / "scripts" / "deploy_aws.py"), "--dry-run", "example")
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert "cfn-lint finds nothing wrong" in done.stdout
    assert done.stdout.count("would run: ") == 4
    assert "--build-arg EXTRAS=aws" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="`make clients` sets up the stand-in for AWS")
def test_an_unknown_installation_is_refused() -> None:
    command = (str(PYTHON), str(REPOSITORY / "scripts" / "deploy_aws.py"), "--dry-run", "nowhere")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "example" in done.stderr
