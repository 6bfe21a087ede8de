"""`python -m app policy`: what the detectors find in a text under the policy file."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from app.config import Settings
from app.models import Label
from app.services.detectors import DETECTOR_FAILURE, UNINSPECTED, DetectionPolicy, Detectors, Field

if TYPE_CHECKING:
    from argparse import _SubParsersAction

STANDARD_INPUT = "-"


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    policy = commands.add_parser("policy", help="try the policy file", description="Try the policy file.")
    actions = policy.add_subparsers(required=True, metavar="ACTION")
    test = actions.add_parser(
        "test",
        help="say what is found in a text",
        description="Print the label of a text and, for each finding, its label, kind and position, never its value.",
    )
    test.add_argument("text", help="the text, or - to read it from standard input")
    test.set_defaults(command=test_policy)


def test_policy(options: argparse.Namespace) -> int:
    """Print what is found; raises `ConfigurationError` for a policy file that is broken."""
    policy = DetectionPolicy.load(Settings().policy_file)
    text = sys.stdin.read() if options.text == STANDARD_INPUT else options.text
    detectors = Detectors(policy)
    findings = detectors.scan_now((Field("text", text),))
    print(max((finding.label for finding in findings), default=Label.PUBLIC).word)
    if any(finding.detector in (DETECTOR_FAILURE, UNINSPECTED) for finding in findings):
        for finding in findings:
            print(f"{finding.label.word:<13} {finding.detector}")
        return 0
    for span in detectors.spans(text):
        label = policy.labels.get(span.kind, Label.CONFIDENTIAL)
        if label > Label.PUBLIC:
            print(f"{label.word:<13} {span.kind:<22} characters {span.start} to {span.end - 1}")
    return 0
