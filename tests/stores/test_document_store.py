"""What every document store keeps to: versions, labels, jobs, removal."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.errors import InvalidRequestError, NotFoundError
from app.models import JSONValue, Label
from app.protocols import ChunkText, DocumentStore
from app.records import Chunk, DocumentStatus, JobKind, JobState
from tests.stores.records import ALL, LEASE, TENANT, SetClock, Worker, chunks_of, found, key, upload

# Uploads


async def test_a_stored_document_is_read_back_as_it_was_handed_in(documents: DocumentStore, moment: SetClock) -> None:
    metadata: dict[str, JSONValue] = {
        "author": {"name": "Ada"},
        "year": 2026,
        "tags": ["a", "b"],
        "draft": False,
        "note": None,
    }
    [added] = await documents.add([upload("a", b"bytes \x00\xff", metadata=metadata, title="Title")])
    read = await documents.get(key("a"), clearance=ALL)
    assert read == added
    assert (read.title, read.metadata, read.size, read.label) == ("Title", metadata, 8, Label.INTERNAL)
    assert (read.status, read.created_at) == (DocumentStatus.PENDING, moment())
    assert await documents.content(added.id) == b"bytes \x00\xff"


@pytest.mark.parametrize("size", [1, 1024 * 1024, 5 * 1024 * 1024 + 1])
async def test_bytes_of_any_size_come_back_whole(documents: DocumentStore, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    [version] = await documents.add([upload("a", content)])
    assert await documents.content(version.id) == content


async def test_the_content_of_no_version_is_not_found(documents: DocumentStore) -> None:
    with pytest.raises(NotFoundError):
        await documents.content("0" * 32)


async def test_the_same_upload_again_changes_nothing_and_queues_nothing(
    documents: DocumentStore, worker: Worker
) -> None:
    [first] = await documents.add([upload("a", metadata={"x": 1})])
    await worker.work_off()
    [again] = await documents.add([upload("a", metadata={"x": 1})])
    assert again.id == first.id
    assert again.status is DocumentStatus.INDEXED
    assert await worker.claim_nothing()


async def test_other_content_title_metadata_or_a_higher_label_make_a_new_version(documents: DocumentStore) -> None:
    variants = [
        upload("a"),
        upload("a", b"other"),
        upload("a", b"other", title="T"),
        upload("a", b"other", title="T", metadata={"x": 1}),
        upload("a", b"other", title="T", metadata={"x": 1}, label=Label.CONFIDENTIAL),
    ]
    versions = await documents.add(variants)
    assert len({version.id for version in versions}) == len(variants)


async def test_an_upload_under_a_lower_label_keeps_the_higher_one(documents: DocumentStore) -> None:
    [secret] = await documents.add([upload("a", label=Label.CONFIDENTIAL)])
    [same] = await documents.add([upload("a", label=Label.PUBLIC)])
    [changed] = await documents.add([upload("a", b"other", label=Label.PUBLIC)])
    assert same.id == secret.id
    assert changed.id != secret.id
    assert changed.label is Label.CONFIDENTIAL


async def test_a_failed_document_is_tried_again_when_it_is_posted_again(
    documents: DocumentStore, worker: Worker
) -> None:
    [failed] = await documents.add([upload("a")])
    await documents.fail(await worker.claim(), code="corrupt", message="It is broken.")
    [again] = await documents.add([upload("a")])
    assert again.id != failed.id
    assert (await worker.claim()).version.id == again.id


async def test_thousands_of_documents_are_stored_in_one_call_in_their_order(documents: DocumentStore) -> None:
    uploads = [upload(f"d{number}", str(number).encode()) for number in range(1_200)]
    versions = await documents.add(uploads)
    assert [version.key.id for version in versions] == [f"d{number}" for number in range(1_200)]
    assert await documents.content(versions[1_199].id) == b"1199"


# Reading


async def test_a_document_above_the_clearance_is_not_there(documents: DocumentStore, worker: Worker) -> None:
    [version] = await worker.publish(upload("a", label=Label.CONFIDENTIAL))
    assert await documents.get(key("a"), clearance=Label.INTERNAL) is None
    assert await documents.remove(key("a"), clearance=Label.INTERNAL) is None
    page, _ = await documents.page(tenant=TENANT, clearance=Label.INTERNAL, collection=None, limit=10, after=None)
    assert page == []
    assert await found(documents, [version.id], clearance=Label.INTERNAL) == []
    assert len(await found(documents, [version.id], clearance=Label.CONFIDENTIAL)) == 1


async def test_another_tenant_finds_nothing(documents: DocumentStore, worker: Worker) -> None:
    [version] = await worker.publish(upload("a"))
    assert await documents.get(key("a", tenant="other"), clearance=ALL) is None
    assert await documents.remove(key("a", tenant="other"), clearance=ALL) is None
    assert await documents.passages({f"{version.id}:0": 1.0}, tenant="other", clearance=ALL) == []
    assert await documents.spaces(tenant="other", collection="handbook", clearance=ALL) == []
    page, _ = await documents.page(tenant="other", clearance=ALL, collection=None, limit=10, after=None)
    assert page == []


async def test_pages_list_each_document_once_newest_first_even_while_new_ones_arrive(documents: DocumentStore) -> None:
    await documents.add([upload(f"d{number}") for number in range(5)])
    first, cursor = await documents.page(tenant=TENANT, clearance=ALL, collection="handbook", limit=2, after=None)
    await documents.add([upload("new"), upload("d0", b"a new version")])
    second, cursor = await documents.page(tenant=TENANT, clearance=ALL, collection="handbook", limit=2, after=cursor)
    third, end = await documents.page(tenant=TENANT, clearance=ALL, collection="handbook", limit=2, after=cursor)
    assert [version.key.id for version in (*first, *second, *third)] == ["d4", "d3", "d2", "d1", "d0"]
    assert end is None


async def test_a_made_up_cursor_is_refused(documents: DocumentStore) -> None:
    for cursor in ("x", "-1", "", "9" * 40):
        with pytest.raises(InvalidRequestError):
            await documents.page(tenant=TENANT, clearance=ALL, collection=None, limit=2, after=cursor)


# Jobs


async def test_jobs_are_claimed_oldest_first_and_held_by_one_worker(documents: DocumentStore, worker: Worker) -> None:
    versions = await documents.add([upload("a"), upload("b")])
    jobs = [await worker.claim(), await worker.claim()]
    assert [job.version.id for job in jobs] == [version.id for version in versions]
    assert [job.version.status for job in jobs] == [DocumentStatus.INDEXING] * 2
    assert await worker.claim_nothing()


async def test_many_claims_at_once_share_no_job(documents: DocumentStore, worker: Worker) -> None:
    await documents.add([upload(f"d{number}") for number in range(20)])
    jobs = await asyncio.gather(*(worker.claim() for _ in range(20)))
    assert len({job.id for job in jobs}) == 20


async def test_a_job_whose_lease_ran_out_is_claimed_again_and_its_first_holder_ignored(
    documents: DocumentStore, worker: Worker, moment: SetClock
) -> None:
    [version] = await documents.add([upload("a")])
    slow = await worker.claim()
    moment.advance(61)
    second = await worker.claim()
    assert (second.id, second.attempts) == (slow.id, 2)
    await documents.fail(slow, code="internal", message="Too late.")
    await documents.retry_job(slow, due=moment())
    assert await documents.publish(slow, space="space") is False
    assert (await _read(documents, "a")).status is DocumentStatus.INDEXING
    assert await worker.index(second)
    assert [passage.version for passage in await found(documents, [version.id])] == [version.id]


async def test_a_report_shows_progress_and_renews_the_lease(
    documents: DocumentStore, worker: Worker, moment: SetClock
) -> None:
    [version] = await documents.add([upload("a")])
    await worker.claim()
    moment.advance(50)
    await documents.report(version.id, stage="embedding", done=3, total=9)
    moment.advance(50)
    assert await worker.claim_nothing()
    read = await _read(documents, "a")
    assert (read.stage, read.done, read.total) == ("embedding", 3, 9)


async def test_a_report_tells_whether_the_version_is_still_there(documents: DocumentStore, worker: Worker) -> None:
    [version] = await documents.add([upload("a")])
    await worker.claim()
    assert await documents.report(version.id, stage="embedding", done=0, total=9) is True
    await documents.remove(key("a"), clearance=ALL)
    assert await documents.report(version.id, stage="embedding", done=1, total=9) is False


async def test_released_leases_are_claimed_at_once(documents: DocumentStore, worker: Worker) -> None:
    await documents.add([upload("a")])
    held = await worker.claim()
    await documents.release_leases()
    assert (await worker.claim()).id == held.id


async def test_a_job_that_is_put_off_waits_until_it_is_due(
    documents: DocumentStore, worker: Worker, moment: SetClock
) -> None:
    await documents.add([upload("a")])
    await documents.retry_job(await worker.claim(), due=moment() + timedelta(seconds=30))
    assert await worker.claim_nothing()
    assert (await _read(documents, "a")).status is DocumentStatus.PENDING
    moment.advance(30)
    assert (await worker.claim()).attempts == 2


async def test_jobs_are_counted_by_kind_and_state(documents: DocumentStore, worker: Worker, moment: SetClock) -> None:
    """A lease that ran out counts as due again."""
    await documents.add([upload(name) for name in "abcd"])
    held, put_off, gone = [await worker.claim() for _ in range(3)]
    await documents.retry_job(put_off, due=moment() + timedelta(seconds=30))
    await documents.publish(gone, space="space")
    await documents.remove(key("c"), clearance=ALL)
    kinds, states = JobKind, JobState
    assert await documents.count_jobs(now=moment()) == {
        (kinds.INDEX, states.RUNNING): 1,
        (kinds.INDEX, states.DELAYED): 1,
        (kinds.INDEX, states.DUE): 1,
        (kinds.REMOVE, states.DUE): 1,
    }
    moment.advance(LEASE + 1)
    assert (await documents.count_jobs(now=moment()))[kinds.INDEX, states.DUE] == 3
    assert held.attempts == 1


async def test_versions_of_a_document_are_indexed_one_after_the_other(documents: DocumentStore, worker: Worker) -> None:
    [first] = await documents.add([upload("a", b"one")])
    [second] = await documents.add([upload("a", b"two")])
    job = await worker.claim()
    assert job.version.id == first.id
    assert await worker.claim_nothing()
    await worker.index(job)
    assert (await worker.claim()).version.id == second.id


# Publishing


async def test_nothing_is_found_before_it_is_published(documents: DocumentStore, worker: Worker) -> None:
    [version] = await documents.add([upload("a")])
    job = await worker.claim()
    await documents.save_chunks(
        version.id, text="the text", title="Found", label=Label.PUBLIC, warnings=["w"], chunks=chunks_of("the text")
    )
    assert await found(documents, [version.id]) == []
    assert await documents.spaces(tenant=TENANT, collection="handbook", clearance=ALL) == []
    assert await documents.publish(job, space="space")
    [passage] = await found(documents, [version.id])
    assert (passage.document_id, passage.title, passage.content) == ("a", "Found", "the text")
    assert await documents.spaces(tenant=TENANT, collection="handbook", clearance=ALL) == ["space"]
    read = await _read(documents, "a")
    assert (read.status, read.chunks, read.warnings) == (DocumentStatus.INDEXED, 1, ("w",))
    assert await documents.text(version.id) == "the text"


async def test_a_replacement_switches_in_one_step_and_queues_the_removal_of_the_old(
    documents: DocumentStore, worker: Worker
) -> None:
    [old] = await worker.publish(upload("a", b"old"))
    [new] = await documents.add([upload("a", b"new")])
    job = await worker.claim()
    assert [passage.content for passage in await found(documents, [old.id, new.id])] == ["old"]
    await worker.index(job)
    assert [passage.content for passage in await found(documents, [old.id, new.id])] == ["new"]
    removal = await worker.claim()
    assert (removal.kind, removal.version.id) == (JobKind.REMOVE, old.id)


async def test_a_reader_sees_the_old_or_the_new_version_and_never_neither_nor_both(
    documents: DocumentStore, worker: Worker
) -> None:
    versions = [(await worker.publish(upload("a", b"version 0")))[0].id]
    running = True

    async def read() -> set[int]:
        counts: set[int] = set()
        while running:
            counts.add(len(await found(documents, versions)))
        return counts

    readers = [asyncio.create_task(read()) for _ in range(3)]
    for number in range(1, 8):
        [version] = await documents.add([upload("a", f"version {number}".encode())])
        versions.append(version.id)
        await worker.index(await worker.claim())
    running = False
    assert await asyncio.gather(*readers) == [{1}] * 3


async def test_the_newest_upload_wins_although_an_older_one_finishes_last(
    documents: DocumentStore, worker: Worker, moment: SetClock
) -> None:
    [older] = await documents.add([upload("a", b"older")])
    slow = await worker.claim()
    await documents.fail(slow, code="timeout", message="Too slow.")
    [newer] = await documents.add([upload("a", b"newer")])
    await worker.index(await worker.claim())
    await worker.work_off()
    assert await documents.publish(slow, space="space") is False
    assert [passage.content for passage in await found(documents, [older.id, newer.id])] == ["newer"]


async def test_a_failure_leaves_the_live_version_and_says_why(documents: DocumentStore, worker: Worker) -> None:
    [old] = await worker.publish(upload("a", b"old"))
    await documents.add([upload("a", b"broken")])
    await documents.fail(await worker.claim(), code="corrupt", message="The file is broken.")
    read = await _read(documents, "a")
    assert (read.status, read.error_code, read.error_message) == (
        DocumentStatus.FAILED,
        "corrupt",
        "The file is broken.",
    )
    assert [passage.content for passage in await found(documents, [old.id])] == ["old"]


async def test_a_label_found_in_one_version_holds_for_the_versions_that_wait_behind_it(
    documents: DocumentStore, worker: Worker
) -> None:
    await documents.add([upload("a", b"one", label=Label.PUBLIC)])
    [waiting] = await documents.add([upload("a", b"two", label=Label.PUBLIC)])
    assert waiting.label is Label.PUBLIC
    await worker.index(await worker.claim(), label=Label.CONFIDENTIAL)
    job = await worker.claim()
    assert (job.version.id, job.version.label) == (waiting.id, Label.CONFIDENTIAL)
    await worker.index(job, label=Label.PUBLIC)
    assert (await _read(documents, "a")).label is Label.CONFIDENTIAL
    assert await found(documents, [waiting.id], clearance=Label.INTERNAL) == []


async def test_saving_chunks_again_replaces_them_and_never_lowers_the_label(
    documents: DocumentStore, worker: Worker
) -> None:
    [version] = await documents.add([upload("a", label=Label.CONFIDENTIAL)])
    await worker.claim()
    for text in ("x" * 60, "y" * 30):
        await documents.save_chunks(
            version.id, text=text, title=None, label=Label.PUBLIC, warnings=[], chunks=chunks_of(text)
        )
    assert await documents.chunk_texts(version.id, start=0, limit=9) == [
        ChunkText(f"{version.id}:0", "", "y" * 20),
        ChunkText(f"{version.id}:1", "", "y" * 10),
    ]
    assert await documents.chunk_texts(version.id, start=1, limit=1) == [ChunkText(f"{version.id}:1", "", "y" * 10)]
    assert (await _read(documents, "a")).label is Label.CONFIDENTIAL


async def test_thousands_of_chunks_are_found_in_the_order_of_their_scores(
    documents: DocumentStore, worker: Worker
) -> None:
    [version] = await documents.add([upload("a")])
    job = await worker.claim()
    pieces = [Chunk(ordinal=n, text=f"chunk {n}", start=n, end=n + 1, page=1, heading=("A", "B")) for n in range(1500)]
    await documents.save_chunks(
        version.id, text="t", title=None, label=Label.PUBLIC, warnings=[], chunks=pieces, space="space"
    )
    await documents.publish(job, space="space")
    wanted = {f"{version.id}:{ordinal}": ordinal / 1500 for ordinal in reversed(range(1500))}
    passages = await documents.passages(
        {**wanted, "nonsense": 1.0, f"{version.id}:x": 1.0}, tenant=TENANT, clearance=ALL
    )
    assert [passage.id for passage in passages] == list(wanted)
    assert passages[0].score == 1499 / 1500
    assert (await documents.removable(version.id))[1] == [f"{version.id}:{ordinal}" for ordinal in range(1500)]


# Removal


async def test_a_removed_document_is_gone_for_readers_at_once_and_unfinished_until_erased(
    documents: DocumentStore, worker: Worker
) -> None:
    [version] = await worker.publish(upload("a"))
    assert await documents.unfinished([version.id]) == 0
    assert await documents.remove(key("a"), clearance=ALL) == [version.id]
    assert await documents.get(key("a"), clearance=ALL) is None
    assert await found(documents, [version.id]) == []
    assert await documents.remove(key("a"), clearance=ALL) == [version.id]
    assert await documents.unfinished([version.id]) == 1
    job = await worker.claim()
    assert await documents.removable(version.id) == ("space", [f"{version.id}:0"])
    await documents.finish_removal(job)
    assert await documents.unfinished([version.id]) == 0
    assert await documents.text(version.id) is None
    assert await documents.remove(key("a"), clearance=ALL) is None
    assert await worker.claim_nothing()


async def test_a_document_removed_while_it_is_indexed_stays_removed(documents: DocumentStore, worker: Worker) -> None:
    [version] = await documents.add([upload("a")])
    job = await worker.claim()
    await documents.remove(key("a"), clearance=ALL)
    assert await worker.claim_nothing(), "its vectors are still being written"
    assert await worker.index(job) is False
    assert await found(documents, [version.id]) == []
    removal = await worker.claim()
    assert removal.kind is JobKind.REMOVE
    assert (await documents.removable(version.id))[0] == "space"
    await documents.finish_removal(removal)
    assert await worker.claim_nothing()


async def test_a_removal_waits_no_longer_than_the_lease_of_a_worker_that_died(
    documents: DocumentStore, worker: Worker, moment: SetClock
) -> None:
    await documents.add([upload("a")])
    await worker.claim()
    await documents.remove(key("a"), clearance=ALL)
    moment.advance(61)
    removal = await worker.claim()
    assert removal.kind is JobKind.REMOVE
    await documents.finish_removal(removal)
    assert await worker.claim_nothing()


async def test_an_upload_during_the_removal_of_its_predecessor_lives(documents: DocumentStore, worker: Worker) -> None:
    [old] = await worker.publish(upload("a", b"same"))
    await documents.remove(key("a"), clearance=ALL)
    [new] = await documents.add([upload("a", b"same")])
    assert new.id != old.id
    await worker.work_off()
    assert [passage.version for passage in await found(documents, [old.id, new.id])] == [new.id]


async def test_a_removal_done_twice_harms_nothing(documents: DocumentStore, worker: Worker) -> None:
    await worker.publish(upload("a"))
    await documents.remove(key("a"), clearance=ALL)
    job = await worker.claim()
    await documents.finish_removal(job)
    await documents.finish_removal(job)
    assert await documents.get(key("a"), clearance=ALL) is None


async def test_the_revision_grows_with_every_change_of_what_is_found_and_with_nothing_else(
    documents: DocumentStore, worker: Worker
) -> None:
    async def revision(collection: str = "handbook") -> int:
        return await documents.revision(tenant=TENANT, collection=collection)

    start = await revision()
    await documents.add([upload("a", b"one")])
    assert await revision() == start
    await worker.work_off()
    published = await revision()
    assert published > start
    await worker.publish(upload("a", b"two"))
    replaced = await revision()
    assert replaced > published
    await documents.remove(key("a"), clearance=ALL)
    assert await revision() > replaced
    assert await revision("elsewhere") == 0


async def test_spaces_are_those_of_live_versions_at_or_below_the_clearance(
    documents: DocumentStore, worker: Worker
) -> None:
    for id, label in (("a", Label.INTERNAL), ("b", Label.CONFIDENTIAL)):
        await documents.add([upload(id, label=label)])
        await worker.index(await worker.claim(), space=f"space-{label.word}")

    async def spaces(clearance: Label) -> list[str]:
        return await documents.spaces(tenant=TENANT, collection="handbook", clearance=clearance)

    assert await spaces(Label.PUBLIC) == []
    assert await spaces(Label.INTERNAL) == ["space-internal"]
    assert await spaces(Label.CONFIDENTIAL) == ["space-confidential", "space-internal"]
    await documents.remove(key("b"), clearance=ALL)
    assert await spaces(Label.CONFIDENTIAL) == ["space-internal"]


async def _read(documents: DocumentStore, id: str) -> Any:
    read = await documents.get(key(id), clearance=ALL)
    assert read is not None
    return read


# Words


async def by_words(
    documents: DocumentStore, text: str, *, tenant: str = TENANT, collection: str = "handbook", clearance: Label = ALL
) -> list[str]:
    """The versions that the words of the text are found in, best first; skips where the engine finds none by words."""
    if not documents.finds_words:
        pytest.skip("this engine has no lexical index")
    hits = await documents.search_words(text, tenant=tenant, collection=collection, clearance=clearance, limit=10)
    return [hit.chunk_id.partition(":")[0] for hit in hits]


async def test_words_are_found_once_their_version_is_live(documents: DocumentStore, worker: Worker) -> None:
    [version] = await documents.add([upload("a", b"running rabbits")])
    job = await worker.claim()
    await documents.save_chunks(
        version.id, text="running", title=None, label=Label.PUBLIC, warnings=[], chunks=chunks_of("running rabbits")
    )
    assert await by_words(documents, "rabbit runs") == []
    await documents.publish(job, space=None)
    assert await by_words(documents, "rabbit runs") == [version.id]


async def test_words_are_found_in_titles_and_headings(documents: DocumentStore, worker: Worker) -> None:
    [version] = await documents.add([upload("a")])
    job = await worker.claim()
    chunk = Chunk(ordinal=0, text="It rises.", start=0, end=9, heading=("Bread", "Sourdough"))
    await documents.save_chunks(
        version.id, text="It rises.", title="Baking", label=Label.PUBLIC, warnings=[], chunks=[chunk]
    )
    await documents.publish(job, space=None)
    for word in ("rises", "sourdough", "bread", "baking"):
        assert await by_words(documents, word) == [version.id]
    assert (await documents.chunk_texts(version.id, start=0, limit=1))[0].context == "Baking\nBread\nSourdough"


async def test_words_of_other_tenants_collections_and_labels_are_not_found(
    documents: DocumentStore, worker: Worker
) -> None:
    [mine, secret, *_] = await worker.publish(
        upload("a", b"rabbit", label=Label.PUBLIC),
        upload("b", b"rabbit", label=Label.CONFIDENTIAL),
        upload("c", b"rabbit", tenant="other"),
        upload("d", b"rabbit", collection="other"),
    )
    assert await by_words(documents, "rabbit", clearance=Label.INTERNAL) == [mine.id]
    assert set(await by_words(documents, "rabbit")) == {mine.id, secret.id}


async def test_a_filter_narrows_a_search_by_words(documents: DocumentStore, worker: Worker) -> None:
    [_, new] = await worker.publish(
        upload("a", b"rabbit", metadata={"year": 1999}), upload("b", b"rabbit", metadata={"year": 2020})
    )
    if not documents.finds_words:
        pytest.skip("this engine has no lexical index")
    hits = await documents.search_words(
        "rabbit", tenant=TENANT, collection="handbook", clearance=ALL, limit=9, filter={"year": {"gt": 2000}}
    )
    assert [hit.chunk_id for hit in hits] == [f"{new.id}:0"]


async def test_words_of_a_replaced_or_removed_document_are_not_found(documents: DocumentStore, worker: Worker) -> None:
    await worker.publish(upload("a", b"rabbit"))
    await worker.publish(upload("a", b"hedgehog"))
    assert await by_words(documents, "rabbit") == []
    await documents.remove(key("a"), clearance=ALL)
    assert await by_words(documents, "hedgehog") == []


async def test_a_query_in_full_text_syntax_is_taken_for_words(documents: DocumentStore, worker: Worker) -> None:
    [version] = await worker.publish(upload("a", b"rabbit"))
    for text in (
        'rabbit"',
        'rabbit AND "nobody" NOT rabbit',
        "context : rabbit*",
        "rabbit ) OR scope : (1",
        "NEAR(rabbit)",
    ):
        assert await by_words(documents, text) == [version.id]
    assert await by_words(documents, ' " * - ^ ( ) ') == []


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("\u6211\u4eec\u5728\u5317\u4eac\u5927\u5b66\u5b66\u4e60", "\u5317\u4eac\u5927\u5b66\u5728\u54ea\u91cc"),
        ("\u6771\u4eac\u30bf\u30ef\u30fc\u306f\u9ad8\u3044", "\u6771\u4eac\u30bf\u30ef\u30fc"),
        ("\ub300\ud55c\ubbfc\uad6d\uc758 \uc218\ub3c4", "\ub300\ud55c\ubbfc\uad6d"),
        ("\u0e1b\u0e23\u0e30\u0e40\u0e17\u0e28\u0e44\u0e17\u0e22", "\u0e40\u0e17\u0e28\u0e44\u0e17\u0e22"),
        (
            "\u092d\u093e\u0930\u0924 \u0915\u0940 \u0930\u093e\u091c\u0927\u093e\u0928\u0940",
            "\u0930\u093e\u091c\u0927\u093e\u0928\u0940",
        ),
        ("\u0648\u0627\u0644\u0643\u062a\u0627\u0628 \u0627\u0644\u062c\u062f\u064a\u062f", "\u0643\u062a\u0627\u0628"),
    ],
    ids=["Chinese", "Japanese", "Korean", "Thai", "Hindi", "Arabic"],
)
async def test_words_are_found_in_scripts_that_do_not_separate_them(
    documents: DocumentStore, worker: Worker, text: str, query: str
) -> None:
    version, _ = await worker.publish(upload("a", text.encode()), upload("b", b"something else"))
    assert await by_words(documents, query) == [version.id]


async def test_an_excerpt_spans_its_chunks(documents: DocumentStore, worker: Worker) -> None:
    text = "".join(chr(ord("a") + number % 26) for number in range(95))
    [version] = await worker.publish(upload("a", text.encode()))
    assert await documents.excerpt(version.id, first=1, last=2) == text[20:60]
    assert await documents.excerpt("0" * 32, first=0, last=0) is None


# Upkeep


async def test_a_live_version_that_is_queued_again_stays_indexed_and_found(
    documents: DocumentStore, worker: Worker
) -> None:
    [version] = await worker.publish(upload("a"))
    await documents.queue_indexing([version.id, version.id, "0" * 32])
    job = await worker.claim()
    assert (job.version.id, job.version.status) == (version.id, DocumentStatus.INDEXED)
    assert (await _read(documents, "a")).status is DocumentStatus.INDEXED
    assert len(await found(documents, [version.id])) == 1
    assert await documents.publish(job, space="another")
    assert [each.space for each in await documents.live_versions()] == ["another"]
    assert await documents.unused_spaces() == ["space"]
    await documents.forget_space("space")
    assert await documents.unused_spaces() == []


async def test_a_live_version_without_a_space_says_that_it_is_found_by_words_only(
    documents: DocumentStore, worker: Worker
) -> None:
    await documents.add([upload("a")])
    job = await worker.claim()
    await documents.publish(job, space=None)
    assert (await _read(documents, "a")).warnings == ("indexed_by_words_only",)


async def test_versions_own_vectors_where_they_are_live_or_being_worked_on(
    documents: DocumentStore, worker: Worker
) -> None:
    [live] = await worker.publish(upload("a"))
    [waiting] = await documents.add([upload("b")])
    ids = [live.id, waiting.id, "0" * 32]
    assert await documents.vector_owners(ids, space="space") == {live.id, waiting.id}
    assert await documents.vector_owners(ids, space="elsewhere") == {waiting.id}


async def test_a_renewed_lease_holds_as_long_again(documents: DocumentStore, worker: Worker, moment: SetClock) -> None:
    [version] = await documents.add([upload("a")])
    await worker.claim()
    moment.advance(50)
    await documents.renew_lease(version.id)
    moment.advance(50)
    assert await worker.claim_nothing()


async def test_versions_are_put_off_once_every_job_that_is_left_waits(
    worker: Worker, documents: DocumentStore, moment: SetClock
) -> None:
    soon, later = moment() + timedelta(seconds=5), moment() + timedelta(seconds=60)
    first, second, done = await documents.add([upload("a"), upload("a", b"again"), upload("b")])
    job = await worker.claim()
    assert not await documents.put_off([first.id, second.id], beyond=soon)  # one is worked on
    await documents.retry_job(job, due=later)
    assert not await documents.put_off([first.id, second.id, done.id], beyond=soon)  # another may be
    assert await documents.put_off([first.id, second.id], beyond=soon)  # the second waits for the first
    assert not await documents.put_off([first.id, second.id], beyond=later)
    await worker.work_off()
    assert not await documents.put_off([done.id], beyond=soon)  # nothing is left to do


# What administrators do to labels


async def test_a_running_index_job_of_the_version_before_does_not_undo_a_declassification(
    worker: Worker, documents: DocumentStore
) -> None:
    await documents.add([upload("a", label=Label.CONFIDENTIAL)])
    slow = await worker.claim()
    both = await documents.declassify(key("a"), label=Label.PUBLIC, clearance=ALL)
    assert both is not None
    old, new = both
    assert (old.label, new.label) == (Label.CONFIDENTIAL, Label.PUBLIC)
    await worker.index(slow, label=Label.CONFIDENTIAL)
    await worker.work_off()
    [live] = await documents.live_versions()
    assert (live.id, live.label) == (new.id, Label.PUBLIC)
    assert await documents.content(new.id) == b"the text"


async def test_an_upload_beside_a_declassification_keeps_the_label_of_the_versions_before(
    worker: Worker, documents: DocumentStore
) -> None:
    """The administrator has not seen it."""
    await worker.publish(upload("a", label=Label.CONFIDENTIAL))
    await documents.declassify(key("a"), label=Label.PUBLIC, clearance=ALL)
    await documents.add([upload("a", b"another", label=Label.PUBLIC)])
    await worker.work_off()
    version = await documents.get(key("a"), clearance=ALL)
    assert version is not None
    assert (version.label, await documents.content(version.id)) == (Label.CONFIDENTIAL, b"another")


async def test_a_document_above_the_clearance_is_not_declassified(worker: Worker, documents: DocumentStore) -> None:
    await worker.publish(upload("a", label=Label.CONFIDENTIAL))
    assert await documents.declassify(key("a"), label=Label.PUBLIC, clearance=Label.INTERNAL) is None


async def test_a_floor_that_is_raised_while_a_version_is_embedded_has_its_vectors_made_again(
    worker: Worker, documents: DocumentStore
) -> None:
    await documents.add([upload("a", label=Label.PUBLIC)])
    job = await worker.claim()
    assert await documents.set_floor("handbook", tenant=TENANT, floor=Label.CONFIDENTIAL) == 1
    await documents.save_chunks(
        job.version.id, text="a", title=None, label=Label.PUBLIC, warnings=[], chunks=chunks_of("a"), space="public"
    )
    assert await documents.publish(job, space="public", label=Label.PUBLIC)
    again = await worker.claim()
    assert (again.kind, again.version.label) == (JobKind.INDEX, Label.CONFIDENTIAL)


async def test_a_floor_is_of_one_tenant(worker: Worker, documents: DocumentStore) -> None:
    await worker.publish(upload("a", label=Label.PUBLIC, tenant="another"))
    assert await documents.set_floor("handbook", tenant=TENANT, floor=Label.CONFIDENTIAL) == 0
    [version] = await worker.publish(upload("b", label=Label.PUBLIC, tenant="another"))
    assert version.label is Label.PUBLIC


async def test_an_upload_has_the_label_of_the_versions_before_it_at_once(
    worker: Worker, documents: DocumentStore
) -> None:
    await worker.publish(upload("a", label=Label.CONFIDENTIAL))
    [version] = await documents.add([upload("a", b"another", label=Label.PUBLIC)])
    assert version.label is Label.CONFIDENTIAL
