"""Duplicates, jobs, models and the system on the page."""

import csv
import io
import json
import re

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.actions import wait_until_deleted

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def smaller(jpeg: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).resize((224, 224)).save(out, "JPEG", quality=92)
    return out.getvalue()


@pytest.fixture(scope="module", autouse=True)
def stored(writable_url: str, drawn) -> None:
    """A picture, a copy and a smaller one; another picture twice; and pictures of several kinds."""
    with httpx2.Client(base_url=writable_url, timeout=60) as client:
        for name, content, metadata in pictures_of(drawn):
            form = {"ids": json.dumps([name]), "metadata": json.dumps([metadata])}
            client.post("/index", files={"files": (f"{name}.jpg", content)}, data=form).raise_for_status()


def pictures_of(drawn):
    yield "small-0", smaller(drawn[0].jpeg), {"label": "pair"}
    yield "large-0", drawn[0].jpeg, {"label": "pair"}
    yield "copy-0", drawn[0].jpeg, {"label": "pair"}
    yield "large-1", drawn[1].jpeg, {"label": "pair"}
    yield "twin-1", drawn[1].jpeg, {"label": "pair"}
    for i, picture in enumerate(drawn[2:22]):
        yield f"other-{i}", picture.jpeg, {"label": "even" if i % 2 else "odd"}


def test_words_are_learned_and_shown_with_their_figures(writing):
    page = writing.open("/?view=models")
    words = page.locator("#words")
    words.get_by_role("button", name="Learn words").click()
    expect(words.locator("#problem")).to_have_text("Choose a metadata key to learn words from.")
    words.get_by_label("label").check()

    words.get_by_role("button", name="Learn words").click()

    expect(words.locator("tr[data-word]")).to_have_count(3)
    answer = httpx2.get(f"{writing.origin}/collections/default/words").json()["items"]
    for word in answer:
        row = words.locator(f"tr[data-word={word['word']}]")
        expect(row).to_contain_text(f"{word['pictures']}{100 * word['precision_at_10']:.0f}")
    expect(page.locator("#labels")).to_have_attribute("href", "/collections/default/labels?format=csv")
    writing.assert_quiet()


def group_with(page, image_id: str):
    return page.locator(".group").filter(has=page.locator(f"[data-id={image_id}]"))


def test_duplicates_are_shown_side_by_side_and_the_largest_is_kept(both):
    page = both.open("/?view=duplicates")

    group = group_with(page, "large-0")
    expect(group.locator(".member")).to_have_count(3)
    expect(group.locator(".member.kept")).to_have_attribute("data-id", "large-0")
    expect(group.locator(".member[data-id=small-0]")).to_contain_text("the oldest")
    page.select_option("#policy", "oldest")
    expect(group.locator(".member.kept")).to_have_attribute("data-id", "small-0")
    meaning = page.locator("#radius-meaning")
    expect(meaning).to_contain_text("wrong pairs among the 300 pairs of 25 pictures")
    expect(group.locator(".member[data-id=large-0]")).not_to_contain_text("same file")
    page.locator("#radius").select_option("24")
    expect(meaning).to_contain_text(re.compile(r"finds \d+ % of edited copies"))
    page.locator("#radius").select_option("")
    expect(meaning).to_contain_text("wrong pairs")
    group.locator("[data-act=check]").click()
    expect(group.locator(".member[data-id=large-0]")).to_contain_text("descriptors 0.")
    group.get_by_label("Find look-alikes of copy-0").click()
    expect(page).to_have_url(re.compile("like=copy-0"))
    both.assert_quiet()


def test_duplicates_are_exported_as_csv(writing):
    page = writing.open("/?view=duplicates")

    with page.expect_download() as download:
        page.click("#export")

    rows = list(csv.DictReader(io.StringIO(download.value.path().read_bytes().decode(), newline="")))
    of_first = {row["id"]: row["keep"] for row in rows if row["id"].endswith("-0") and "other" not in row["id"]}
    assert of_first == {"small-0": "no", "large-0": "yes", "copy-0": "no"}
    assert {row["width"] for row in rows if row["id"] == "small-0"} == {"224"}


def test_the_rest_of_a_group_is_tagged_or_deleted(writing):
    page = writing.open("/?view=duplicates")
    group_with(page, "large-1").locator("[data-act=tag]").click()
    expect(page.locator(".toast")).to_contain_text("1 picture tagged")
    tagged = httpx2.get(f"{writing.origin}/images/twin-1").json()["metadata"]
    assert tagged == {"label": "pair", "duplicate_of": "large-1"}

    group = group_with(page, "large-0")
    group.get_by_label("Not a duplicate: copy-0").check()
    group.locator("[data-act=delete]").click()
    expect(page.locator(".toast").last).to_contain_text("Picture deleted.")
    page.goto("about:blank")

    wait_until_deleted(writing.origin, ["small-0"])
    page.goto(writing.origin + "/?view=duplicates")
    expect(group_with(page, "large-1")).to_be_visible()
    expect(group_with(page, "large-0")).to_have_count(0)  # what was called no duplicate is remembered
    for kept in ("large-0", "copy-0"):
        assert httpx2.get(f"{writing.origin}/images/{kept}").status_code == 200


def test_a_model_is_evaluated_and_plotted(both):
    page = both.open("/?view=models")
    model = page.locator(".model[data-name=lite2-256]")
    expect(model.locator(".state.active")).to_be_visible()

    model.locator("[data-act=evaluate]").click()

    shown = page.locator(".evaluation[data-model=lite2-256]").first
    expect(shown.locator(".plot")).to_have_count(4)
    expect(shown.get_by_label("Precision and recall").locator(".curve")).to_be_attached()
    expect(shown.get_by_label("Bit balance").locator("rect")).to_have_count(256)
    expect(shown).to_contain_text("mAP")
    model.get_by_text("Measured").click()
    expect(model).to_contain_text("911 queries among 7,766 pictures")
    both.assert_quiet()


def test_a_collection_is_encoded_compared_switched_and_rolled_back(writing):
    page = writing.open("/?view=models")
    model = page.locator(".model[data-name=lite2-64]")

    model.locator("[data-act=reencode]").click()
    expect(model.locator("[data-act=activate]")).to_be_visible()
    model.locator("[data-act=compare]").click()
    expect(model.locator("[data-shown=comparison]")).to_contain_text("of the first ten results are the same")
    model.locator("[data-act=activate]").click()
    expect(model.locator(".state.active")).to_be_visible()
    assert httpx2.get(f"{writing.origin}/collections/default").json()["model"] == "lite2-64"
    page.click("#roll-back")

    expect(page.locator(".model[data-name=lite2-256] .state.active")).to_be_visible()
    assert httpx2.get(f"{writing.origin}/collections/default").json()["model"] == "lite2-256"
    writing.assert_quiet()


def test_a_model_is_trained(writing):
    """The page asks for a training and tells how the job ends; training itself is replaced by a quick job."""
    asked = []

    def start_a_quick_job(route) -> None:
        asked.append(route.request.post_data_json)
        answer = httpx2.post(f"{writing.origin}/admin/jobs/verify", json={}, timeout=60)
        route.fulfill(status=answer.status_code, json=answer.json())

    page = writing.open("/?view=models")
    page.route("**/admin/jobs/train", start_a_quick_job)
    form = page.locator("#train")
    form.get_by_label("Name").fill("mine-64")
    form.get_by_label("Method").select_option("itq")
    form.get_by_label("Bits").select_option("64")
    form.get_by_role("button", name="Train").click()

    expect(page.locator(".toast")).to_contain_text("Trained mine-64.")
    (body,) = asked
    assert body == {"name": "mine-64", "collection": "default", "method": "itq", "bits": 64, "label": "label"}
    writing.assert_quiet()


def test_a_refused_training_says_why(writing):
    page = writing.open("/?view=models")
    page.locator("#train").get_by_label("Name").fill("lite2-64")
    page.locator("#train").get_by_role("button", name="Train").click()

    expect(page.locator("#train #problem")).to_contain_text("lite2-64")


def test_the_system_is_measured_and_backed_up(both):
    page = both.open("/?view=system")

    expect(page.locator("#tiles")).to_contain_text(re.compile(r"Room for\s*[\d,]+ more"))
    expect(page.locator("#tiles")).to_contain_text(re.compile(r"A search takes\s*[\d.]+ ms"))
    expect(page.locator("#processes")).to_contain_text("worker")
    before = len(httpx2.get(f"{both.origin}/admin/backups").json()["items"])
    expect(page.locator("#backups li")).to_have_count(before)
    page.click("#make-backup")
    expect(page.locator(".toast")).to_contain_text("Backup made")
    expect(page.locator("#backups li")).to_have_count(before + 1)
    both.assert_quiet()


def test_jobs_are_listed_and_a_paused_one_goes_on(writing):
    job = httpx2.post(f"{writing.origin}/admin/jobs/verify", json={}).json()
    page = writing.open("/?view=jobs")

    shown = page.locator(f".job[data-id='{job['id']}']")
    expect(shown).to_contain_text("Verify")
    expect(shown).to_have_attribute("data-status", "succeeded")
    page.route("**/jobs?*", lambda route: route.fulfill(json=paused(route.fetch().json(), job["id"])))
    page.reload()
    expect(shown.locator("[data-act=resume]")).to_be_visible()
    expect(shown.locator("[data-act=cancel]")).to_be_visible()
    with page.expect_request("**/resume"):
        shown.locator("[data-act=resume]").click()
    expect(page.locator(".toast")).to_be_visible()


def paused(answer: dict, job_id: str) -> dict:
    for job in answer["items"]:
        if job["id"] == job_id:
            job.update(status="paused", updated_at="2099-01-01T00:00:00Z")
    return answer
