"""Small faults, one or more for each rule of the promise, and the test that notices each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.process import REPOSITORY

# What the killers need of the repository.
TESTS = (
    "conftest.py",
    "exporters",
    "gateway",
    "no_leak",
    "providers",
    "routers",
    "services",
    "stores",
    "support",
    "test_architecture.py",
    "utils",
)
COPIED = ("app", "policy.toml", "catalog.toml", "pyproject.toml", *(f"tests/{name}" for name in TESTS))
TESTS_FAILED = 1
PATIENCE = 120
RULES = "tests/no_leak/test_rules.py"
BARRIERS = "tests/no_leak/test_barriers.py"
SHARED_ANSWERS = "tests/no_leak/test_shared_answers.py"
RERANKING = "tests/services/test_reranking.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`before` stands exactly once in the file; with `after` in its place the rule does not hold and `killer` fails."""

    name: str
    rule: str
    file: str
    before: str
    after: str
    killer: str

    def apply(self, root: Path) -> None:
        path = root / self.file
        source = path.read_text(encoding="utf-8")
        if source.count(self.before) != 1:
            raise LookupError(f"{self.name}: what it replaces stands {source.count(self.before)} times in {self.file}")
        path.write_text(source.replace(self.before, self.after), encoding="utf-8")


def survives(mutant: Mutant, *, workspace: Path) -> str | None:
    """Run the killer on a copy of the repository with the mutant in it; what it printed if it did not fail."""
    shutil.rmtree(workspace, ignore_errors=True)
    for name in COPIED:
        source, target = REPOSITORY / name, workspace / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, target)
    mutant.apply(workspace)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--show-capture=no", mutant.killer]
    environment = {**os.environ, "PYTHONPATH": str(workspace), "PYTHONHASHSEED": "0"}
    for name in ("COVERAGE_PROCESS_START", "COV_CORE_SOURCE", "COV_CORE_CONFIG", "COV_CORE_DATAFILE"):
        environment.pop(name, None)
    done = subprocess.run(
        command, cwd=workspace, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode == TESTS_FAILED and " failed" in done.stdout:
        return None
    return f"exit status {done.returncode}: {done.stdout[-2000:]}{done.stderr[-1000:]}"


def _rules(name: str) -> str:
    return f"{RULES}::{name}"


LABELS: Sequence[Mutant] = (
    Mutant(
        name="stated label ignored",
        rule="The label is the highest of what caller and key state, what is found, stored and repeated",
        file="app/services/labels.py",
        before='label=stated or Label.PUBLIC, where="sensitivity"',
        after='label=Label.PUBLIC, where="sensitivity"',
        killer="tests/gateway/test_chat.py::test_confidential_goes_to_a_local_model_and_is_never_cached",
    ),
    Mutant(
        name="key's floor ignored",
        rule="The label is the highest of what caller and key state, what is found, stored and repeated",
        file="app/services/labels.py",
        before="label=caller.label_floor",
        after="label=Label.PUBLIC",
        killer=_rules("test_a_keys_floor_raises_every_request"),
    ),
    Mutant(
        name="header label ignored on native surfaces",
        rule="`sensitivity` in the body and in `x-sluice-sensitivity` are joined",
        file="app/routers/native.py",
        before="for label in (self.sensitivity, stated) if label is not None",
        after="for label in (self.sensitivity,) if label is not None",
        killer=_rules("test_a_header_raises_what_the_body_says"),
    ),
    Mutant(
        name="header label ignored on OpenAI's chat",
        rule="`sensitivity` in the body and in `x-sluice-sensitivity` are joined",
        file="app/routers/openai/bodies.py",
        before="for label in (self.sensitivity, options.sensitivity) if label is not None",
        after="for label in (self.sensitivity,) if label is not None",
        killer=_rules("test_a_header_raises_what_the_body_says"),
    ),
    Mutant(
        name="misspelt header ignored",
        rule="Unknown `x-sluice-*` headers are refused",
        file="app/dependencies.py",
        before="if name != SENSITIVITY_HEADER:",
        after="if name != SENSITIVITY_HEADER:\n            continue\n        if False:",
        killer="tests/gateway/test_bad_input.py::test_a_misspelt_label_header_is_refused",
    ),
    Mutant(
        name="unknown fields ignored",
        rule="Unknown fields are refused; adapters get a closed value, never the client's body",
        file="app/routers/native.py",
        before='extra="forbid"',
        after='extra="ignore"',
        killer=_rules("test_a_field_that_is_not_known_is_refused"),
    ),
    Mutant(
        name="detector failure is public",
        rule="A detector that fails makes the whole request confidential",
        file="app/services/detectors/scan.py",
        before="            return Label.CONFIDENTIAL\n",
        after="            return Label.PUBLIC\n",
        killer=_rules("test_a_detector_that_fails_makes_the_request_confidential"),
    ),
    Mutant(
        name="too long is public",
        rule="Above the size limit the label is confidential",
        file="app/services/detectors/scan.py",
        before="            self._give_up(UNINSPECTED)\n            return\n",
        after="            return\n",
        killer=_rules("test_what_is_too_long_to_be_read_is_confidential"),
    ),
    Mutant(
        name="pictures are public",
        rule="Parts that cannot be read take `UNINSPECTED_LABEL`",
        file="app/services/labels.py",
        before="            if images:\n",
        after="            if not images:\n",
        killer=_rules("test_pictures_stay_local_where_the_operator_says_so"),
    ),
    Mutant(
        name="history not read",
        rule="Detectors see the join of adjacent parts and turns",
        file="app/services/gateway.py",
        before="        return await self._labeller.read_prompt(\n            conversation.messages,",
        after="        return await self._labeller.read_prompt(\n            conversation.fresh,",
        killer=_rules("test_a_secret_that_is_split_over_two_turns_of_a_session_is_found"),
    ),
    Mutant(
        name="message parts not read",
        rule="Every text that would be sent is read",
        file="app/services/labels.py",
        before="part.text if isinstance(part, TextPart) else _readable_url(part.url)",
        after='"" if isinstance(part, TextPart) else _readable_url(part.url)',
        killer=_rules("test_a_secret_is_found_in_every_position_that_is_sent"),
    ),
    Mutant(
        name="image URLs not read",
        rule="Every text that would be sent is read",
        file="app/services/labels.py",
        before='url.partition(",")[0] if url.startswith("data:image/") else url',
        after='url.partition(",")[0] if url.startswith("data:image/") else ""',
        killer=_rules("test_a_secret_is_found_in_every_position_that_is_sent"),
    ),
    Mutant(
        name="names not read",
        rule="Every text that would be sent is read",
        file="app/services/labels.py",
        before="for text in (message.name, message.tool_call_id):",
        after="for text in ():",
        killer=_rules("test_a_secret_is_found_in_every_position_that_is_sent"),
    ),
    Mutant(
        name="tool arguments not read",
        rule="Every text that would be sent is read",
        file="app/services/labels.py",
        before='f"{call.id} {call.name}\\n{call.arguments}"',
        after='f"{call.id} {call.name}"',
        killer=_rules("test_a_secret_is_found_in_every_position_that_is_sent"),
    ),
    Mutant(
        name="tool names and ids not read",
        rule="Every text that would be sent is read",
        file="app/services/labels.py",
        before='f"{call.id} {call.name}\\n{call.arguments}"',
        after="call.arguments",
        killer=_rules("test_a_secret_is_found_in_every_position_that_is_sent"),
    ),
    Mutant(
        name="tool schemas not read",
        rule="Every text that would be sent is read",
        file="app/services/labels.py",
        before='yield Field(f"tools[{position}]", _json(tool))',
        after='yield Field(f"tools[{position}]", "")',
        killer=_rules("test_a_secret_is_found_in_every_position_that_is_sent"),
    ),
    Mutant(
        name="answer schema not read",
        rule="Every text that would be sent is read",
        file="app/services/labels.py",
        before="if tooling.response_format is not None:",
        after="if False:",
        killer=_rules("test_a_secret_is_found_in_every_position_that_is_sent"),
    ),
    Mutant(
        name="stop strings not read",
        rule="Every text that would be sent is read",
        file="app/services/labels.py",
        before="enumerate(sampling.stop)",
        after="enumerate(())",
        killer=_rules("test_a_secret_is_found_in_every_position_that_is_sent"),
    ),
    Mutant(
        name="answers lose their label when they come back",
        rule="Answers keep their label when they come back",
        file="app/services/labels.py",
        before="        reading = Reading().join(floors).join(repeated).join(self._uninspected_parts(messages))",
        after="        reading = Reading().join(floors).join(self._uninspected_parts(messages))",
        killer="tests/gateway/test_echoes.py::test_a_confidential_answer_that_comes_back_as_history_stays_local",
    ),
)

ROUTING: Sequence[Mutant] = (
    Mutant(
        name="join after retrieval out",
        rule="The label is joined again after retrieval, before dispatch",
        file="app/services/gateway.py",
        before="reading=reading.join_passages(passages)",
        after="reading=reading",
        killer="tests/gateway/test_documents.py"
        "::test_a_confidential_passage_raises_the_request_and_reroutes_it_before_dispatch",
    ),
    Mutant(
        name="candidates not filtered by label",
        rule="Lists order candidates, they never grant clearance",
        file="app/services/llm_router.py",
        before="if not facts.label <= model.clearance:\n        return",
        after="if False:\n        return",
        killer="tests/services/test_llm_router.py::test_only_cleared_models_are_in_the_plan",
    ),
    Mutant(
        name="dispatch check out",
        rule="A dispatch above the clearance cannot be constructed, whatever planned it",
        file="app/models.py",
        before="if not self.label <= self.model.clearance:",
        after="if False:",
        killer=_rules("test_a_dispatch_above_the_clearance_cannot_be_made"),
    ),
    Mutant(
        name="only confidential is compared",
        rule="The comparison is label <= clearance for every model",
        file="app/services/llm_router.py",
        before="if not facts.label <= model.clearance:\n        return",
        after="if facts.label is Label.CONFIDENTIAL and not facts.label <= model.clearance:\n        return",
        killer=_rules("test_a_label_is_compared_with_the_clearance_and_not_with_one_word"),
    ),
    Mutant(
        name="cloud cleared for everything",
        rule="`CLOUD_CLEARANCE` above `internal` stops the start",
        file="app/config.py",
        before="if self.cloud_clearance > Label.INTERNAL:",
        after="if False:",
        killer="tests/gateway/test_operations.py::test_unsafe_settings_are_refused_at_the_start",
    ),
    Mutant(
        name="an explanation looks documents up elsewhere",
        rule="`/route` makes no outbound call",
        file="app/services/gateway.py",
        before="None if self._retrieval.calls_out else request.documents",
        after="request.documents",
        killer=_rules("test_an_explanation_makes_no_call"),
    ),
)

EGRESS: Sequence[Mutant] = (
    Mutant(
        name="egress check out",
        rule="A cloud call without clearance is stopped before anything connects",
        file="app/egress.py",
        before="if not dispatch.label <= clearance:",
        after="if False:",
        killer=_rules("test_the_egress_trusts_no_clearance_that_a_cloud_model_claims"),
    ),
    Mutant(
        name="a model's own clearance believed",
        rule="A cloud model is never cleared above `CLOUD_CLEARANCE`",
        file="app/egress.py",
        before="        self._check(dispatch, clearance=min(dispatch.model.clearance, self._cloud_clearance))\n"
        "        return self._cloud",
        after="        self._check(dispatch, clearance=dispatch.model.clearance)\n        return self._cloud",
        killer=_rules("test_the_egress_trusts_no_clearance_that_a_cloud_model_claims"),
    ),
    Mutant(
        name="litellm believed",
        rule="A model reached through litellm is cloud, whatever the catalog says",
        file="app/egress.py",
        before='its entry says."""\n'
        "        self._check(dispatch, clearance=min(dispatch.model.clearance, self._cloud_clearance))",
        after='its entry says."""\n        self._check(dispatch, clearance=dispatch.model.clearance)',
        killer=_rules("test_the_egress_trusts_no_clearance_that_a_cloud_model_claims"),
    ),
    Mutant(
        name="redirects followed",
        rule="No redirects at all",
        file="app/egress.py",
        before="data=request.body, headers=headers, allow_redirects=False",
        after="data=request.body, headers=headers, allow_redirects=True",
        killer=_rules("test_a_redirect_of_a_local_model_to_the_cloud_is_not_followed"),
    ),
    Mutant(
        name="redirects followed by litellm",
        rule="No redirects at all",
        file="app/providers/litellm_adapter.py",
        before="client.follow_redirects = False",
        after="client.follow_redirects = True",
        killer="tests/providers/test_litellm.py::test_a_redirect_is_not_followed",
    ),
    Mutant(
        name="pictures fetched by litellm",
        rule="The gateway fetches no URL on behalf of a request",
        file="app/providers/litellm_adapter.py",
        before="if any(isinstance(part, ImagePart) and not _is_data(part)",
        after="if any(False",
        killer="tests/providers/test_litellm.py"
        "::test_an_image_that_litellm_might_fetch_is_refused_before_anything_is_sent",
    ),
    Mutant(
        name="an HTTP client beside the egress",
        rule="The client sessions that speak to models are built only in the egress",
        file="app/services/cache.py",
        before="import hmac\n",
        after="import hmac\nimport httpx\n",
        killer="tests/test_architecture.py::test_http_clients_are_imported_in_the_egress_only",
    ),
    Mutant(
        name="proxies of the environment used",
        rule="Proxies from the environment are not used",
        file="app/egress.py",
        before="trust_env=False",
        after="trust_env=True",
        killer=_rules("test_a_proxy_from_the_environment_is_not_used"),
    ),
    Mutant(
        name="peer check out",
        rule="The connected peer is checked before a byte of the request is written",
        file="app/egress.py",
        before="if not peer or peer[0] not in self._networks:",
        after="if not peer:",
        killer=_rules("test_nothing_is_written_to_a_peer_that_is_not_local"),
    ),
    Mutant(
        name="every private range is local",
        rule="Local addresses are exactly loopback and the private ranges",
        file="app/egress.py",
        before="return any(ip in network for network",
        after="return ip.is_private or any(ip in network for network",
        killer=_rules("test_local_addresses_are_loopback_and_private_ones_and_no_others"),
    ),
    Mutant(
        name="-cloud suffix check out",
        rule="An Ollama model whose name ends in `:cloud` or `-cloud` is cloud",
        file="app/providers/ollama/facts.py",
        before="return name.lower().endswith(CLOUD_SUFFIXES)",
        after="return False",
        killer="tests/providers/test_ollama.py::test_a_cloud_model_is_known_by_the_end_of_its_name",
    ),
    Mutant(
        name="remote host of a model ignored",
        rule="An Ollama model is local only if `/api/show` reports no remote host or model",
        file="app/providers/ollama/facts.py",
        before='remote=bool(shown.get("remote_host") or shown.get("remote_model"))',
        after="remote=False",
        killer="tests/providers/test_ollama.py"
        "::test_a_model_that_runs_elsewhere_is_listed_as_cloud_and_sent_nothing_as_a_local_one",
    ),
    Mutant(
        name="unknown models are local",
        rule="An Ollama model of which the server says nothing is cloud",
        file="app/providers/ollama/facts.py",
        before="UNKNOWN = ModelFacts(remote=True)",
        after="UNKNOWN = ModelFacts(remote=False)",
        killer="tests/providers/test_ollama.py"
        "::test_a_model_that_cannot_be_asked_about_is_cloud_and_sent_nothing_as_a_local_one",
    ),
    Mutant(
        name="remote answers accepted",
        rule="An answer that names a remote host ends the call and quarantines the model",
        file="app/providers/ollama/answer.py",
        before='if self._local and (frame.get("remote_host") or frame.get("remote_model")):',
        after="if False:",
        killer="tests/providers/test_ollama.py"
        "::test_an_answer_from_another_host_ends_the_call_before_its_text_and_quarantines_the_model",
    ),
)

STORED: Sequence[Mutant] = (
    Mutant(
        name="batch and header label of documents ignored",
        rule="Of the labels stated for a document the stricter wins",
        file="app/routers/uploads.py",
        before="label=_join(document.sensitivity, body.sensitivity, stated)",
        after="label=document.sensitivity",
        killer="tests/gateway/test_documents.py::test_of_all_stated_labels_the_strictest_wins",
    ),
    Mutant(
        name="document default lowered",
        rule="A document without a stated label takes `DOCUMENT_DEFAULT_LABEL`",
        file="app/services/ingestion.py",
        before="stated = self._default_label if upload.label is None else upload.label",
        after="stated = Label.PUBLIC if upload.label is None else upload.label",
        killer="tests/gateway/test_documents.py"
        "::test_a_document_without_a_stated_label_is_internal_and_detection_raises_it",
    ),
    Mutant(
        name="documents not read",
        rule="What the detectors find in a document raises its label",
        file="app/services/indexing.py",
        before="        label = version_label(version, reading)",
        after="        label = version.label",
        killer="tests/gateway/test_documents.py"
        "::test_a_document_without_a_stated_label_is_internal_and_detection_raises_it",
    ),
    Mutant(
        name="label lowered by posting again",
        rule="Posting the same id as `public` does not lower it",
        file="app/stores/sql/uploads.py",
        before="            label = max(upload.label, document.label, floor)",
        after="            label = max(upload.label, floor)",
        killer="tests/stores/test_document_store.py::test_an_upload_has_the_label_of_the_versions_before_it_at_once",
    ),
    Mutant(
        name="documents embedded without their label",
        rule="Every embedding goes through the egress with the document's label",
        file="app/services/indexing.py",
        before="await self._embed(version, label=label, space=space, total=len(chunks))",
        after="await self._embed(version, label=Label.PUBLIC, total=len(chunks),"
        " space=self._spaces.of(version.key, label=Label.PUBLIC))",
        killer=_rules("test_a_document_above_the_embedding_models_clearance_is_not_embedded"),
    ),
    Mutant(
        name="queries embedded without their label",
        rule="Every embedding goes through the egress with the query's label",
        file="app/services/retrieval.py",
        before="Dispatch((query.text,), query.label, self._embedder.model)",
        after="Dispatch((query.text,), Label.PUBLIC, self._embedder.model)",
        killer=f"{BARRIERS}::test_a_query_is_handed_to_the_embedding_model_under_its_own_label",
    ),
    Mutant(
        name="queries tried above the embedding model's clearance",
        rule="Text above the embedder's clearance is looked up by its words only",
        file="app/services/retrieval.py",
        before="return query.label <= self._embedder.model.clearance",
        after="return True",
        killer=f"{BARRIERS}::test_a_query_above_the_embedding_models_clearance_is_looked_up_by_its_words",
    ),
    Mutant(
        name="retrieval above the caller's clearance",
        rule="A key's clearance applies to every read of stored content",
        file="app/stores/sql/searches.py",
        before=".where(wanted, documents.c.tenant == tenant, versions.c.live, versions.c.label <= clearance)",
        after=".where(wanted, documents.c.tenant == tenant, versions.c.live)",
        killer="tests/stores/test_document_store.py::test_a_document_above_the_clearance_is_not_there",
    ),
    Mutant(
        name="retrieval across tenants",
        rule="A key's tenant applies to every read of stored content",
        file="app/stores/sql/searches.py",
        before=".where(wanted, documents.c.tenant == tenant, versions.c.live, versions.c.label <= clearance)",
        after=".where(wanted, versions.c.live, versions.c.label <= clearance)",
        killer="tests/stores/test_document_store.py::test_another_tenant_finds_nothing",
    ),
    Mutant(
        name="session mark out",
        rule="The session's mark is part of the label",
        file="app/services/labels.py",
        before='Finding(detector="session", label=mark, where="session")',
        after='Finding(detector="session", label=Label.PUBLIC, where="session")',
        killer=_rules("test_a_session_is_marked_before_its_turn_is_sent"),
    ),
    Mutant(
        name="session marked only when its turn is stored",
        rule="The mark is raised durably before a turn is stored or dispatched",
        file="app/services/gateway.py",
        before="await self._sessions.raise_mark(work.conversation, label=work.label)",
        after="work.conversation",
        killer=_rules("test_a_session_is_marked_before_its_turn_is_sent"),
    ),
    Mutant(
        name="session mark falls",
        rule="Labels never fall within a session",
        file="app/stores/sql/sessions.py",
        before="return case((sessions.c.mark < label, literal(label, LabelRank())), else_=sessions.c.mark)",
        after="return literal(label, LabelRank())",
        killer=_rules("test_a_stored_turn_of_a_lower_label_leaves_the_mark_as_it_is"),
    ),
    Mutant(
        name="sessions above the caller's clearance",
        rule="A key's clearance applies to every read of stored content",
        file="app/stores/sql/sessions.py",
        before="if row is None or row.mark > clearance:",
        after="if row is None:",
        killer="tests/stores/test_session_store.py::test_a_session_above_the_clearance_is_not_found",
    ),
    Mutant(
        name="titles and summaries without the session's mark",
        rule="Titles and summaries carry the label of what they are computed from",
        file="app/services/session_upkeep.py",
        before="sensitivity=mark,",
        after="sensitivity=None,",
        killer="tests/gateway/test_sessions.py::test_without_a_model_that_may_title_the_first_words_do",
    ),
    Mutant(
        name="a deleted session comes back",
        rule="A late write to a deleted session is discarded",
        file="app/stores/sql/sessions.py",
        before="            if incarnation is None:\n",
        after="            if True:\n",
        killer=f"{BARRIERS}::test_a_mark_that_comes_late_does_not_bring_a_deleted_session_back",
    ),
    Mutant(
        name="turns kept in whatever session has the id by now",
        rule="A late write to a deleted session is discarded",
        file="app/stores/sql/sessions.py",
        before="    return mine if incarnation is None else and_(mine, sessions.c.incarnation == incarnation)",
        after="    return mine",
        killer="tests/stores/test_session_store.py::test_what_a_summary_covers_is_not_read_and_its_label_marks_the_session",
    ),
    Mutant(
        name="summaries without their label",
        rule="Titles and summaries carry the label of what they are computed from",
        file="app/stores/sql/sessions.py",
        before="mark = _joined(summary.label)",
        after="mark = sessions.c.mark",
        killer="tests/stores/test_session_store.py::test_what_a_summary_covers_is_not_read_and_its_label_marks_the_session",
    ),
    Mutant(
        name="lists of sessions above the clearance",
        rule="A key's clearance and tenant apply to every read of stored content",
        file="app/stores/sql/session_lists.py",
        before="select(sessions).where(sessions.c.tenant == tenant, sessions.c.mark <= clearance)",
        after="select(sessions).where(sessions.c.tenant == tenant)",
        killer="tests/gateway/test_sessions.py::test_sessions_beyond_clearance_or_tenant_are_not_there",
    ),
    Mutant(
        name="histories of other tenants",
        rule="A key's clearance and tenant apply to every read of stored content",
        file="app/stores/sql/session_lists.py",
        before="sessions.c.tenant == tenant, sessions.c.user_id == user_id, sessions.c.mark <= clearance",
        after="sessions.c.user_id == user_id, sessions.c.mark <= clearance",
        killer="tests/gateway/test_sessions.py::test_sessions_beyond_clearance_or_tenant_are_not_there",
    ),
    Mutant(
        name="histories above the clearance",
        rule="A key's clearance and tenant apply to every read of stored content",
        file="app/stores/sql/session_lists.py",
        before="loose_turns.c.user_id == user_id, loose_turns.c.label <= clearance",
        after="loose_turns.c.user_id == user_id",
        killer="tests/gateway/test_sessions.py::test_sessions_beyond_clearance_or_tenant_are_not_there",
    ),
    Mutant(
        name="cache shared across partitions",
        rule="The cache's partition includes tenant, label and the caller's read set",
        file="app/services/cache.py",
        before="[SCHEMA_VERSION, self.partition, values]",
        after="[SCHEMA_VERSION, values]",
        killer=_rules("test_a_cached_answer_is_found_in_its_own_partition_only"),
    ),
    Mutant(
        name="confidential cached",
        rule="Redis holds nothing that is confidential",
        file="app/services/cache.py",
        before="return label < Label.CONFIDENTIAL and",
        after="return",
        killer=_rules("test_a_confidential_answer_is_not_cached"),
    ),
    Mutant(
        name="cached answers above the caller's clearance",
        rule="An entry is served only at or below the caller's clearance",
        file="app/services/cache.py",
        before="entry is None or entry.answer.label > slot.partition.reads.clearance",
        after="entry is None",
        killer=_rules("test_a_cached_answer_is_not_served_above_the_callers_clearance"),
    ),
    Mutant(
        name="cache keys without a secret",
        rule="Digests are keyed HMACs",
        file="app/services/cache.py",
        before="hmac.digest(self._secret, material",
        after='hmac.digest(b"", material',
        killer=_rules("test_cache_keys_tell_nothing_without_the_secret"),
    ),
)

TRACES: Sequence[Mutant] = (
    Mutant(
        name="exceptions logged with their text",
        rule="Of a foreign exception we log the type and our code location, never its text",
        file="app/utils/logging.py",
        before='fields["error_type"] = record.exc_info[0].__name__',
        after='fields["error_type"] = repr(record.exc_info[1])',
        killer=_rules("test_an_exceptions_text_is_not_logged"),
    ),
    Mutant(
        name="libraries' messages logged with their text",
        rule="`LOG_LEVEL` governs our own records; of a library's no text that may be a client's is logged",
        file="app/utils/log_text.py",
        before="template.strip() and _stands_in_source(record, template)",
        after="template.strip()",
        killer="tests/utils/test_logging.py::test_a_librarys_message_is_shown_as_it_stands_in_its_source",
    ),
    Mutant(
        name="log lines forged",
        rule="Logs hold only fixed words, numbers, ids and names that the operator configured",
        file="app/utils/log_text.py",
        before='return UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)',
        after="return text",
        killer="tests/utils/test_logging.py::test_a_name_can_neither_end_a_line_nor_steer_a_terminal",
    ),
    Mutant(
        name="errors in spans with their text",
        rule="Spans follow the rule for exceptions' text in logs",
        file="app/utils/tracing.py",
        before="return type(error).__name__",
        after="return repr(error)",
        killer="tests/utils/test_tracing.py::test_of_an_error_a_span_has_the_code_or_the_type_and_no_text",
    ),
    Mutant(
        name="content in spans of every label",
        rule="Traces hold no client text, but that of public requests where the operator allows it",
        file="app/services/spans.py",
        before="span.tracer.content and call.label is Label.PUBLIC",
        after="span.tracer.content",
        killer="tests/gateway/test_traces.py::test_where_a_setting_allows_it_the_content_of_public_requests_is_told",
    ),
    Mutant(
        name="content in spans without leave",
        rule="Traces hold no client text, but that of public requests where the operator allows it",
        file="app/services/spans.py",
        before="span.tracer.content and call.label",
        after="call.label",
        killer="tests/gateway/test_traces.py::test_content_is_in_no_span_unless_a_setting_allows_it",
    ),
    Mutant(
        name="spans to any address",
        rule="Exporter addresses obey the locality rule, on the connected peer",
        file="app/egress.py",
        before="async with self._local.post(",
        after="async with self._cloud.post(",
        killer="tests/exporters/test_otlp.py::test_nothing_is_written_to_an_address_that_is_not_ours",
    ),
    Mutant(
        name="collectors of others",
        rule="Store, exporter and key-set addresses obey the locality rule or are vouched for",
        file="app/config.py",
        before='            "OTEL_EXPORTER_OTLP_ENDPOINT": self.otel_exporter_otlp_endpoint,\n',
        after="",
        killer="tests/gateway/test_traces.py::test_a_collector_that_is_not_ours_stops_the_start",
    ),
    Mutant(
        name="refusals quote their input",
        rule="Error bodies hold no client text",
        file="app/routers/validation.py",
        before="if kind in QUOTING:",
        after="if False:",
        killer=f"{BARRIERS}::test_a_validation_message_that_quotes_the_input_is_replaced",
    ),
    Mutant(
        name="a caller's request id kept as it is",
        rule="A caller's request id is kept only in our shape",
        file="app/edge.py",
        before="given if REQUEST_ID_SHAPE.fullmatch(given) else self._make_id()",
        after="given or self._make_id()",
        killer=_rules("test_a_callers_request_id_is_kept_in_our_shape_only"),
    ),
    Mutant(
        name="a model's name from a caller as a label",
        rule="Metrics hold only names that the operator configured",
        file="app/services/embeddings.py",
        before='else f"{model.provider}/{OTHER}"',
        after="else model.id",
        killer="tests/gateway/test_metrics.py::test_a_name_that_only_a_caller_knows_is_no_label",
    ),
    Mutant(
        name="a path from a caller as a label",
        rule="Metrics hold only fixed words",
        file="app/utils/surfaces.py",
        before='SURFACES.get(path.lstrip("/").partition("/")[0], "other")',
        after='path.lstrip("/").partition("/")[0]',
        killer="tests/gateway/test_metrics.py::test_no_word_of_a_prompt_an_answer_or_a_document_is_in_the_metrics",
    ),
    Mutant(
        name="duplicate keys accepted",
        rule="Duplicate JSON keys are 400",
        file="app/routers/bodies.py",
        before="if len(value) != len(pairs):",
        after="if False:",
        killer="tests/gateway/test_bad_input.py::test_a_malformed_body_is_refused",
    ),
    Mutant(
        name="fields that cannot be honoured ignored",
        rule="`logit_bias`, hosted tools and other fields that cannot be classified are refused",
        file="app/routers/fields.py",
        before="if value and value not in self.allowed:",
        after="if False:",
        killer="tests/routers/test_openai_chat.py::test_a_field_that_is_not_supported_is_refused_by_name",
    ),
    Mutant(
        name="foreign hosts served",
        rule="Without authentication only loopback `Host` and `Origin` values are served",
        file="app/edge.py",
        before="if self._guarded and _foreign(headers):",
        after="if False:",
        killer="tests/gateway/test_bad_input.py::test_foreign_hosts_and_origins_are_refused_while_nobody_needs_a_key",
    ),
    Mutant(
        name="redaction lowers what is stated",
        rule="Redaction lowers only the detectors' part of a label",
        file="app/services/labels.py",
        before="        return replace(reading, found=_raising(await self._policies.current.detectors.scan(fields)))",
        after="        return Reading(found=_raising(await self._policies.current.detectors.scan(fields)))",
        killer=_rules("test_redaction_lowers_nothing_that_is_stated"),
    ),
    Mutant(
        name="redacted answers cached",
        rule="Redacted answers are not cached",
        file="app/services/gateway.py",
        before="        if work.version_for(answer.model) is None:\n"
        "            await self._cache.keep(slot, answer, seat=seat)",
        after="        await self._cache.keep(slot, answer, seat=seat)",
        killer="tests/gateway/test_redaction.py::test_a_redacted_answer_is_not_cached",
    ),
)

RELABELLING = "tests/gateway/test_relabelling.py"
DOCUMENT_STORE = "tests/stores/test_document_store.py"

RELABELLED = (
    Mutant(
        name="texts in data URLs sent unread",
        rule="Text-bearing parts are extracted and classified",
        file="app/routers/native.py",
        before="            if is_text(image.url):",
        after="            if False:",
        killer="tests/routers/test_attachments.py::test_a_text_in_a_data_url_is_classified_and_sent_as_text",
    ),
    Mutant(
        name="anyone declassifies",
        rule="A document's label falls only by `declassify`, by an administrator",
        file="app/routers/relabelling.py",
        before="from app.dependencies import EDGE, AdminCaller, ServicesDep",
        after="from app.dependencies import EDGE, ServicesDep\n"
        "from app.dependencies import DocumentWriter as AdminCaller",
        killer=f"{RELABELLING}::test_only_an_administrator_may_declassify",
    ),
    Mutant(
        name="declassified above the caller's clearance",
        rule="A key's clearance applies to every read of stored content",
        file="app/stores/sql/relabels.py",
        before="    if not readable or any(row.label > clearance for row in found):",
        after="    if not readable:",
        killer=f"{DOCUMENT_STORE}::test_a_document_above_the_clearance_is_not_declassified",
    ),
    Mutant(
        name="declassification undone by detection",
        rule="A declassified version has the label that was set",
        file="app/services/labels.py",
        before="    return version.label if version.declassified else max(version.label, reading.label)",
        after="    return max(version.label, reading.label)",
        killer=f"{RELABELLING}::test_a_declassified_document_has_the_label_that_was_set_whatever_is_found_in_it",
    ),
    Mutant(
        name="declassification undone by the version before",
        rule="A declassified version has the label that was set",
        file="app/stores/sql/jobs.py",
        before="    .where(or_(_earlier.c.id == versions.c.id, not_(versions.c.declassified)))\n",
        after="",
        killer=f"{DOCUMENT_STORE}::test_a_running_index_job_of_the_version_before_does_not_undo_a_declassification",
    ),
    Mutant(
        name="every later version declassified",
        rule="Posting the same id as `public` does not lower it",
        file="app/stores/sql/uploads.py",
        before="            document.label = max(document.label, row.label)",
        after="            document.label = row.label if row.declassified else max(document.label, row.label)",
        killer=f"{DOCUMENT_STORE}::test_an_upload_beside_a_declassification_keeps_the_label_of_the_versions_before",
    ),
    Mutant(
        name="declassification not recorded",
        rule="A declassification is audited",
        file="app/services/relabelling.py",
        before="        self._audit.record_declassification(old, new, reason=reason, caller=caller)\n",
        after="        del old\n",
        killer=f"{RELABELLING}::test_a_declassification_is_recorded_without_any_text",
    ),
    Mutant(
        name="declassified below the floor",
        rule="A collection may have a floor",
        file="app/stores/sql/relabels.py",
        before="    if label < floor:",
        after="    if False:",
        killer=f"{RELABELLING}::test_only_an_administrator_sets_a_floor_and_nothing_is_declassified_below_it",
    ),
    Mutant(
        name="floor for new documents only",
        rule="A collection may have a floor",
        file="app/stores/sql/relabels.py",
        before="    await connection.execute(update(versions).where(*below).values(label=floor, updated_at=now))\n",
        after="",
        killer=f"{RELABELLING}::test_a_floor_raises_what_is_there_and_what_is_put_in",
    ),
    Mutant(
        name="floor for what is there only",
        rule="A collection may have a floor",
        file="app/stores/sql/uploads.py",
        before="            label = max(upload.label, document.label, floor)",
        after="            label = max(upload.label, document.label)\n            del floor",
        killer=f"{RELABELLING}::test_a_floor_raises_what_is_there_and_what_is_put_in",
    ),
    Mutant(
        name="raised documents not known again",
        rule="A request that repeats a document joins its label",
        file="app/services/indexing.py",
        before="        await self._remember_again(version)\n",
        after="",
        killer=f"{RELABELLING}::test_what_a_floor_raised_is_known_again_when_a_request_repeats_it",
    ),
    Mutant(
        name="raised while embedded, left where it is",
        rule="Vectors lie in the space of their label",
        file="app/stores/sql/jobs.py",
        before="    if label is not None and label < joined:",
        after="    if False:",
        killer=f"{DOCUMENT_STORE}::test_a_floor_that_is_raised_while_a_version_is_embedded_has_its_vectors_made_again",
    ),
)

SHARED: Sequence[Mutant] = (
    Mutant(
        name="flights across labels",
        rule="A flight is joined only inside one partition",
        file="app/services/cache.py",
        before="_canonical([self.key(slot), label, passages])",
        after="_canonical([self.key(slot), passages])",
        killer=f"{SHARED_ANSWERS}::test_a_call_is_shared_by_requests_of_one_label_and_the_same_passages_only",
    ),
    Mutant(
        name="flights across what was retrieved",
        rule="A flight is joined only inside one partition",
        file="app/services/cache.py",
        before="_canonical([self.key(slot), label, passages])",
        after="_canonical([self.key(slot), label])",
        killer=f"{SHARED_ANSWERS}::test_a_call_is_shared_by_requests_of_one_label_and_the_same_passages_only",
    ),
    Mutant(
        name="confidential flights",
        rule="A flight is never joined once confidential",
        file="app/services/cache.py",
        before="self._ttl(slot.request) > 0 and self._keeps(slot.request, label=label)):",
        after="self._ttl(slot.request) > 0 and self._keeps(slot.request, label=Label.PUBLIC)):",
        killer=f"{SHARED_ANSWERS}::test_what_retrieval_made_confidential_shares_no_call",
    ),
    Mutant(
        name="answers of other workers above the request",
        rule="A flight is joined only inside one partition",
        file="app/services/leases.py",
        before="if entry is not None and entry.answer.label <= label:",
        after="if entry is not None:",
        killer=f"{SHARED_ANSWERS}::test_an_answer_above_the_request_is_not_passed_on_between_workers",
    ),
    Mutant(
        name="other wordings across labels",
        rule="The cache's partition includes tenant, label and the caller's read set",
        file="app/services/semantic.py",
        before="self._exact.key(replace(slot, request=rest))",
        after="self._exact.key(replace(slot, request=rest, partition=replace(partition, label=Label.PUBLIC)))",
        killer=f"{SHARED_ANSWERS}::test_other_words_find_the_answers_of_their_own_label_only",
    ),
    Mutant(
        name="wordings tried above the embedding model's clearance",
        rule="Every embedding goes through the egress with the query's label",
        file="app/services/semantic.py",
        before="partition.label > self._embedder.model.clearance or ",
        after="",
        killer=f"{SHARED_ANSWERS}::test_a_question_above_the_embedding_models_clearance_is_asked_in_its_own_words_only",
    ),
    Mutant(
        name="wordings embedded without their label",
        rule="Every embedding goes through the egress with the query's label",
        file="app/services/semantic.py",
        before="Dispatch((asked.text,), asked.label, self._embedder.model)",
        after="Dispatch((asked.text,), Label.PUBLIC, self._embedder.model)",
        killer=f"{SHARED_ANSWERS}::test_a_question_is_embedded_under_its_label",
    ),
    Mutant(
        name="cached answers of models that the key may not use",
        rule="The cache's partition includes tenant, label and the caller's read set",
        file="app/services/cache.py",
        before="models=None if caller.models is None else tuple(sorted(caller.models)),",
        after="models=None,",
        killer="tests/gateway/test_keys.py::"
        "test_an_answer_of_a_model_that_a_key_may_not_use_is_not_served_to_it_from_the_cache",
    ),
    Mutant(
        name="models that the key may not use",
        rule="Lists order candidates, they never grant clearance",
        file="app/services/llm_router.py",
        before="    if not facts.caller.may_use(model):\n",
        after="    if False:\n",
        killer="tests/services/test_llm_router.py::test_models_that_the_caller_may_not_use_are_dropped_and_said_so",
    ),
    Mutant(
        name="embedding models that the key may not use",
        rule="Lists order candidates, they never grant clearance",
        file="app/services/embeddings.py",
        before="            if not caller.may_use(embedder.model):\n",
        after="            if False:\n",
        killer=f"{BARRIERS}::test_a_named_embedding_model_is_asked_only_by_keys_that_may_and_under_the_label",
    ),
    Mutant(
        name="named embedding models asked without the label",
        rule="Every embedding goes through the egress with the query's label",
        file="app/services/embeddings.py",
        before="Dispatch(flat, label, embedder.model)",
        after="Dispatch(flat, Label.PUBLIC, embedder.model)",
        killer=f"{BARRIERS}::test_a_named_embedding_model_is_asked_only_by_keys_that_may_and_under_the_label",
    ),
    Mutant(
        name="reranked above the reranker's clearance",
        rule="The comparison is label <= clearance for every model, rerankers included",
        file="app/services/reranking.py",
        before=" or together > reranker.model.clearance",
        after="",
        killer=f"{RERANKING}::test_nothing_above_its_clearance_is_sent_and_the_order_stays",
    ),
    Mutant(
        name="reranked without the passages' labels",
        rule="The comparison is label <= clearance for every model, rerankers included",
        file="app/services/reranking.py",
        before="max((label, *(passage.label for passage in head)))",
        after="label",
        killer=f"{RERANKING}::test_what_is_sent_carries_the_highest_label_of_question_and_passages",
    ),
    Mutant(
        name="a reranker beside the egress",
        rule="Every reranking goes through the egress with the label of question and passages",
        file="app/providers/litellm_adapter.py",
        before="        self._egress.admit(dispatch)\n        request = dispatch.payload\n",
        after="        request = dispatch.payload\n",
        killer=f"{BARRIERS}::test_a_reranker_in_the_cloud_gets_nothing_confidential_whatever_it_claims",
    ),
    Mutant(
        name="decisions for everyone",
        rule="A key's clearance and tenant apply to every read of stored content",
        file="app/routers/decisions.py",
        before="    if services.settings.protected:\n",
        after="    if False:\n",
        killer="tests/gateway/test_decisions.py::test_only_those_who_administer_may_read_them_where_keys_are_needed",
    ),
    Mutant(
        name="decisions of other tenants",
        rule="A key's clearance and tenant apply to every read of stored content",
        file="app/routers/decisions.py",
        before="tenant = None if caller.operator else caller.tenant",
        after="tenant = None",
        killer=f"{BARRIERS}::test_a_tenants_administrator_sees_its_own_decisions_only_and_nobody_sees_a_text",
    ),
    Mutant(
        name="texts of documents above the clearance",
        rule="A key's clearance applies to every read of stored content",
        file="app/stores/sql/documents.py",
        before="~_other.c.removed, _other.c.label <= clearance)",
        after="~_other.c.removed)",
        killer="tests/gateway/test_document_text.py::test_a_key_reads_no_text_above_its_clearance_or_of_another_tenant",
    ),
)

MUTANTS: Sequence[Mutant] = (*LABELS, *ROUTING, *EGRESS, *STORED, *SHARED, *RELABELLED, *TRACES)

# Those that the suite must always be seen to kill.
ALWAYS = ("egress check out", "join after retrieval out", "candidates not filtered by label")
