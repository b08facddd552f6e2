"""Adding, editing and deleting pictures on the page; collections."""

import io
import json
import re
import zipfile

import httpx2
import pytest
from playwright.sync_api import expect

from app.samples import samples
from tests.browser.actions import add_filter, drop_or_paste, picture_file, shown_ids, wait_until_deleted

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(autouse=True)
def empty(writable_url: str):
    """Each test begins without pictures."""
    httpx2.post(f"{writable_url}/images/delete", json={"all": True}, timeout=60)


def add(url: str, pictures, **fields) -> list[str]:
    files = [("files", (picture.name, picture.jpeg)) for picture in pictures]
    data = {name: json.dumps(value) for name, value in fields.items()}
    answer = httpx2.post(f"{url}/index", files=files, data=data, timeout=60)
    return [item["id"] for item in answer.json()["items"]]


def zip_of(pictures, *, spoiled: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for picture in pictures:
            archive.writestr(f"{picture.group}/{picture.name}.jpg", picture.jpeg)
        for i in range(spoiled):
            archive.writestr(f"notes/{i}.jpg", b"no picture")
    return out.getvalue()


def test_an_empty_collection_offers_to_add_pictures_and_shows_them_as_they_come(both, drawn):
    page = both.open()
    expect(page.locator("#empty h2")).to_have_text("Add your pictures")

    files = [picture_file(picture.jpeg, f"{picture.name}.jpg") for picture in drawn[:10]]
    page.set_input_files("#add-files", [*files, picture_file(b"plain text", "notes.jpg")])

    expect(page.locator("#adding")).to_contain_text("10 pictures added")
    expect(page.locator("#results .card")).to_have_count(10)
    expect(page.locator("#collection")).to_contain_text("default (10)")
    page.locator("#failures summary").click()
    expect(page.locator("#failures li")).to_contain_text("notes.jpg")
    expect(page.locator("#failures li")).to_contain_text("not a picture")
    page.click("#adding-done")
    expect(page.locator("#adding")).to_have_count(0)
    both.assert_quiet()


def test_pictures_over_a_limit_are_sent_again_after_the_wait(writing, drawn):
    page = writing.open("/?view=collection")
    left = [2]

    def answer(route) -> None:
        left[0] -= 1
        if left[0] < 0:
            route.continue_()
        else:
            route.fulfill(status=429 if left[0] else 503, headers={"Retry-After": "1"}, json={"title": "Later"})

    page.route("**/index", answer)
    page.set_input_files("#add-files", [picture_file(p.jpeg, f"{p.name}.jpg") for p in drawn[:3]])

    expect(page.locator("#adding")).to_contain_text("3 pictures added", timeout=20_000)
    expect(page.locator("#failures")).to_have_count(0)
    expect(page.locator("#results .card")).to_have_count(3)


def test_a_zip_is_imported_by_a_job_that_is_followed(writing, drawn):
    page = writing.open("/?view=collection")
    expect(page.locator("#empty")).to_be_visible()

    archive = {"name": "pictures.zip", "mimeType": "application/zip", "buffer": zip_of(drawn[:6], spoiled=2)}
    page.set_input_files("#add-archive", archive)

    expect(page.locator("#adding")).to_contain_text("6 pictures added")
    expect(page.locator("#failures summary")).to_have_text("2 files could not be added")
    expect(page.locator("#results .card")).to_have_count(6)
    expect(page.locator(f".card[title*='label: {drawn[0].group}']")).to_have_count(1)
    page.click("#to-jobs")
    job = page.locator(".job").first
    expect(job).to_contain_text("pictures.zip")
    expect(job).to_have_attribute("data-status", "succeeded")
    job.locator(".failures summary").click()
    expect(job.locator(".failures li").first).to_contain_text("notes/0.jpg")
    job.locator("[data-act=retry]").click()
    expect(job).to_have_attribute("data-status", "succeeded")
    expect(job).to_contain_text("2 items failed")
    writing.assert_quiet()


def test_a_folder_gives_its_pictures_their_label(writing, drawn, tmp_path):
    folder = tmp_path / "holiday"
    folder.mkdir()
    for picture in drawn[:3]:
        (folder / f"{picture.name}.jpg").write_bytes(picture.jpeg)
    (folder / "notes.txt").write_text("no picture")
    page = writing.open("/?view=collection")

    page.set_input_files("#add-folder", folder)

    expect(page.locator("#adding")).to_contain_text("3 pictures added")
    expect(page.locator(".card[title*='label: holiday']")).to_have_count(3)
    expect(page.locator("#failures")).to_have_count(0)
    writing.assert_quiet()


def test_a_picture_is_added_by_dropping_it_on_the_collection(writing, drawn):
    page = writing.open("/?view=collection")
    expect(page.locator("#empty")).to_be_visible()

    drop_or_paste(page, "drop", drawn[0].jpeg, "dropped.jpg")

    expect(page.locator("#results .card .name")).to_have_text("dropped.jpg")
    writing.assert_quiet()


def test_samples_are_removed_in_one_click(writing, drawn):
    sample = next(samples())
    with httpx2.Client(base_url=writing.origin, timeout=60) as client:
        client.put(f"/images/{sample.image_id}", content=sample.read())
    (mine,) = add(writing.origin, drawn[:1])
    page = writing.open("/?view=collection")

    page.click("#remove-samples")

    expect(page.locator("#results .card")).to_have_count(1)
    assert shown_ids(page) == [mine]
    expect(page.locator("#remove-samples")).to_have_count(0)
    writing.assert_quiet()


def test_metadata_is_edited_with_the_kinds_of_its_values(both, drawn):
    add(both.origin, drawn[:1], ids=["one"], metadata=[{"year": 2024, "name": "12", "deep": {"a": [1]}}])
    page = both.open("/?view=collection")
    page.locator(".card").click()

    page.get_by_label("Value of year").fill("2025")
    page.click("#add-row")
    page.get_by_label("Key", exact=True).last.fill("sold")
    page.get_by_label("Value of sold").fill("true")
    page.click("#save-metadata")

    expect(page.locator(".toast")).to_contain_text("Saved")
    stored = httpx2.get(f"{both.origin}/images/one").json()
    assert stored["metadata"] == {"year": 2025, "name": "12", "deep": {"a": [1]}, "sold": True}
    both.assert_quiet()


def test_a_deletion_can_be_undone_for_a_while(writing, drawn):
    add(writing.origin, drawn[:3])
    page = writing.open("/?view=collection")
    page.locator(".card").first.click()

    page.click("#delete")
    expect(page.locator("#results .card")).to_have_count(2)
    page.locator(".toast").get_by_role("button", name="Undo").click()

    expect(page.locator("#results .card")).to_have_count(3)
    assert len(httpx2.get(f"{writing.origin}/images").json()["items"]) == 3
    writing.assert_quiet()


def test_a_deleted_picture_stays_away_in_every_view_until_it_is_undone(writing, drawn):
    add(writing.origin, drawn[:3], ids=["a", "b", "c"])
    page = writing.open("/?view=collection")
    page.locator(".card[data-id=b]").click()
    page.click("#delete")
    expect(page.locator("#results .card")).to_have_count(2)

    page.click("#to-search")
    expect(page.locator("#title")).to_have_text("Newest pictures")
    expect(page.locator("#results .card")).to_have_count(2)
    page.click("#to-collection")
    expect(page.locator("#title")).to_have_text("default")
    expect(page.locator("#results .card")).to_have_count(2)
    page.locator(".toast").get_by_role("button", name="Undo").click()

    expect(page.locator("#results .card")).to_have_count(3)
    writing.assert_quiet()


def test_a_picture_that_is_added_again_under_the_id_of_a_deleted_one_is_shown(writing, drawn):
    add(writing.origin, drawn[:2], ids=["a", "b"])
    page = writing.open("/?view=collection")
    page.locator(".card[data-id=b]").click()
    with page.expect_response("**/images/delete"):
        page.click("#delete")
        expect(page.locator("#results .card")).to_have_count(1)
    expect(page.locator(".toast")).to_have_count(0)
    add(writing.origin, drawn[2:3], ids=["b"])

    page.click("#to-search")
    page.click("#to-collection")

    expect(page.locator("#results .card")).to_have_count(2)


def test_a_message_can_be_read_and_pressed_over_a_dialog(writing, drawn):
    add(writing.origin, drawn[:3], ids=["a", "b", "c"])
    page = writing.open("/?view=collection")
    page.locator(".card[data-id=b]").click()
    page.click("#delete")
    page.locator(".card[data-id=a]").click()
    expect(page.locator("#details")).to_be_visible()

    page.locator(".toast").get_by_role("button", name="Undo").click()

    expect(page.locator("#details")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#results .card")).to_have_count(3)
    writing.assert_quiet()


def test_many_pictures_are_deleted_at_once_also_when_the_page_is_left(writing, drawn):
    ids = add(writing.origin, drawn[:4])
    page = writing.open("/?view=collection")
    expect(page.locator(".cell")).to_have_count(4)
    for cell in page.locator(".cell").all()[:2]:
        cell.hover()
        cell.locator("input[type=checkbox]").check()
    expect(page.locator("#chosen")).to_contain_text("2 pictures chosen")

    page.click("#delete-chosen")
    expect(page.locator("#results .card")).to_have_count(2)
    page.goto("about:blank")

    wait_until_deleted(writing.origin, ids[2:])
    page.goto(writing.origin + "/?view=collection")
    expect(page.locator("#results .card")).to_have_count(2)
    assert sorted(shown_ids(page)) == sorted(ids[:2])


def test_collections_are_created_chosen_and_deleted(writing, drawn):
    add(writing.origin, drawn[:1])
    page = writing.open("/?view=collection")
    page.click("#manage")
    form = page.locator("#new-collection")
    form.get_by_label("Name").fill("shop")
    form.get_by_label("Model").select_option("lite2-64")
    form.get_by_label("Description").fill("what we sell")
    form.get_by_role("button", name="Create").click()

    expect(page.locator("#title")).to_have_text("shop")
    expect(page).to_have_url(re.compile("collection=shop"))
    expect(page.locator("#summary")).to_have_text("0 pictures · model lite2-64 · what we sell")
    page.set_input_files("#add-files", [picture_file(drawn[1].jpeg)])
    expect(page.locator("#results .card")).to_have_count(1)
    page.select_option("#collection", "default")
    expect(page.locator("#title")).to_have_text("default")
    page.click("#manage")
    page.get_by_label("Delete shop").click()
    page.get_by_role("button", name="Delete with its pictures").click()
    expect(page.locator("#collections li")).to_have_count(1)
    assert [one["name"] for one in httpx2.get(f"{writing.origin}/collections").json()["items"]] == ["default"]
    writing.assert_quiet()


def test_the_collection_is_filtered_by_its_own_keys(writing, drawn):
    add(writing.origin, drawn[:3], metadata=[{"kind": picture.group} for picture in drawn[:3]])
    page = writing.open("/?view=collection")
    page.locator("#refine summary").click()
    expect(page.locator("#filter-keys option[value=kind]")).to_be_attached()

    add_filter(page, "kind", drawn[1].group)

    expect(page.locator("#results .card")).to_have_count(1)
    expect(page).to_have_url(re.compile("filter="))
    writing.assert_quiet()


def test_a_picture_is_added_from_its_address(writing, drawn):
    """The job is real; it imports an archive instead of the address, because no test may use a network."""
    archive = {"archive": ("one.zip", zip_of(drawn[:1]))}
    asked = []

    def start_a_local_import(route) -> None:
        asked.append(route.request.post_data_json)
        answer = httpx2.post(f"{writing.origin}/index", files=archive, timeout=60)
        route.fulfill(status=answer.status_code, json=answer.json())

    page = writing.open("/?view=collection")
    page.route("**/index", start_a_local_import)
    field = page.get_by_label("Address of a picture")
    field.fill("https://pictures.example/a.jpg")
    field.press("Enter")

    expect(page.locator("#adding")).to_contain_text("1 picture added")
    expect(page.locator("#results .card")).to_have_count(1)
    assert asked == [{"urls": ["https://pictures.example/a.jpg"], "collection": "default"}]
    writing.assert_quiet()


def test_an_address_that_the_service_may_not_fetch_is_explained(writing):
    page = writing.open("/?view=collection")
    field = page.get_by_label("Address of a picture")
    field.fill("https://pictures.example/a.jpg")
    field.press("Enter")

    expect(page.locator("#adding")).to_contain_text("LOOKALIKE_FETCH_HOSTS")


def test_stopping_cancels_the_import(writing, drawn):
    page = writing.open("/?view=collection")
    page.route("**/jobs/*/events*", lambda route: route.abort())
    archive = {"name": "pictures.zip", "mimeType": "application/zip", "buffer": zip_of(drawn[:2])}
    page.set_input_files("#add-archive", archive)
    expect(page.locator("#adding")).to_contain_text("Adding…")

    with page.expect_request("**/cancel"):
        page.get_by_role("button", name="Stop").click()


def test_one_refused_file_does_not_fail_the_others(writing, drawn):
    """A name that the service refuses fails only its own file."""
    files = [picture_file(drawn[0].jpeg, "a.jpg"), picture_file(drawn[1].jpeg, "b.jpg")]

    def refuse_b(route) -> None:
        if b"b.jpg" in route.request.post_data_buffer:
            detail = {"title": "Unprocessable Entity", "status": 422, "detail": "That name is refused."}
            route.fulfill(status=422, json=detail)
        else:
            route.continue_()

    page = writing.open("/?view=collection")
    page.route("**/index", refuse_b)
    page.set_input_files("#add-files", files)

    expect(page.locator("#adding")).to_contain_text("1 picture added")
    expect(page.locator("#failures summary")).to_have_text("1 file could not be added")
    expect(page.locator("#results .card .name")).to_have_text("a.jpg")


def test_chosen_pictures_are_forgotten_with_their_collection(writing, drawn):
    """Deleting must not reach pictures of another collection that have the same ids."""
    add(writing.origin, drawn[:1])
    httpx2.post(f"{writing.origin}/collections", json={"name": "second"}, timeout=60)
    page = writing.open("/?view=collection")
    page.locator(".cell").first.hover()
    page.locator(".cell input[type=checkbox]").first.check()
    expect(page.locator("#chosen")).to_be_visible()

    page.select_option("#collection", "second")

    expect(page.locator("#title")).to_have_text("second")
    expect(page.locator("#chosen")).to_have_count(0)
    httpx2.delete(f"{writing.origin}/collections/second", timeout=60)
    writing.assert_quiet()


def test_a_dialog_gives_the_focus_back(writing, drawn):
    add(writing.origin, drawn[:1])
    page = writing.open("/?view=collection")
    card = page.locator(".card").first
    card.press("Enter")
    expect(page.locator("#metadata")).to_be_visible()

    page.keyboard.press("Escape")

    expect(page.locator("dialog")).to_have_count(0)
    expect(card).to_be_focused()
