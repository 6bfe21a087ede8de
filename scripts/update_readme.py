"""Writes the real output of the quickstart and of one chat into the README: `make readme`."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import tempfile
from pathlib import Path

from tests.support.process import ServiceProcess

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
QUESTION = "How many trucks were used?"


async def run_examples() -> tuple[str, str]:
    """What the quickstart prints, and the answer to one question about its documents."""
    with tempfile.TemporaryDirectory() as directory:
        async with ServiceProcess(Path(directory)) as service:
            environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "SLUICE_URL": service.url}
            script = ROOT / "examples" / "quickstart.sh"
            run = subprocess.run([script], capture_output=True, text=True, env=environment, check=True)  # noqa: ASYNC221, S603  (our own script, and the service is another process)
            async with service.client.post("/chat", json={"message": QUESTION}) as response:
                answer = await response.json()
    return run.stdout.strip(), json.dumps(answer, indent=2, ensure_ascii=False)


def replace_output(text: str, *, after: str, output: str) -> str:
    """The page with what stands between the line that ends with `after` and the end of its block replaced."""
    pattern = re.compile(rf"({re.escape(after)}\n).*?(?=```)", re.DOTALL)
    changed, count = pattern.subn(lambda match: f"{match[1]}{output}\n", text)
    if count != 1:
        raise SystemExit(f"README.md has {count} blocks after {after!r}")
    return changed


def main() -> None:
    quickstart, chat = asyncio.run(run_examples())
    text = README.read_text(encoding="utf-8")
    text = replace_output(text, after="$ examples/quickstart.sh", output=quickstart)
    text = replace_output(text, after=f"""-d '{{"message": "{QUESTION}"}}'""", output=chat)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
