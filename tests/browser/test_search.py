"""Searching on the page."""

import io
import itertools
import json
import re
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.actions import (
    PAGE,
    add_filter,
    choose,
    distances,
    drop_or_paste,
    expect_answer,
    expect_search,
    refine,
    set_distance,
    shown_ids,
)
from tools.sample_gallery import draw_gallery

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STORED = next(draw_gallery(per_group=1))
STRANGER = next(itertools.islice(draw_gallery(seed=5, per_group=1), 8, None))
GALLERY = 324


def test_the_page_begins_with_the_newest_pictures_and_goes_on_by_scrolling(watched):
    page = watched.open()

    expect(page.locator(".card").first).to_be_visible()
    expect(page.locator(".card img").first).to_have_js_property("complete", True)
    assert page.locator(".card img").first.evaluate("image => image.naturalWidth") > 0
    expect(page.locator("#collection")).to_contain_text(f"default ({GALLERY})")
    newest = httpx2.get(f"{watched.origin}/images?order=newest&limit=3").json()["items"]
    assert shown_ids(page)[:3] == [image["id"] for image in newest]
    for pages in (1, 2):
        page.locator(".card").nth(pages * PAGE - 1).scroll_into_view_if_needed()
        expect(page.locator(".card").nth((pages + 1) * PAGE - 1)).to_be_attached()
    assert len(set(shown_ids(page))) == len(shown_ids(page))
    watched.assert_quiet()


def test_an_uploaded_copy_is_named_and_the_rest_comes_in_words(watched):
    page = watched.open()

    choose(page, STORED.jpeg)

    expect_search(page)
    expect(page.locator("#results .card").first.locator(".badge")).to_have_text("Exact copy")
    expect(page.locator(".badge:visible")).to_have_count(1)
    found = distances(page)
    assert found[0] == 0
    assert max(found) <= 94
    expect(page.locator(".word.similar").first).to_have_text("Similar")
    expect(page.locator("#preview")).to_be_visible()
    expect(page.locator("#asked-facts")).to_contain_text("256 × 256 pixels")
    expect(page.locator("#summary")).to_have_text(re.compile(rf"{GALLERY} searched in [\d.]+ ms"))
    watched.assert_quiet()


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_dropped_or_pasted_picture_is_searched(desktop, kind):
    page = desktop.open()
    expect(page.locator(".card").first).to_be_visible()

    drop_or_paste(page, kind, STRANGER.jpeg)

    expect_search(page)
    assert STRANGER.group in page.locator(".card .name").first.inner_text()
    desktop.assert_quiet()


def test_a_result_becomes_the_query_and_is_not_its_own_result(desktop):
    page = desktop.open()
    page.locator(".card").nth(3).wait_for()
    chosen = page.locator(".card").nth(3).get_attribute("data-id")

    page.locator(".card").nth(3).click()

    expect_search(page)
    expect(page).to_have_url(re.compile(rf"\?like={chosen}$"))
    assert chosen not in shown_ids(page)
    following = shown_ids(page)[0]
    page.locator("#results .card").first.click()
    expect(page).to_have_url(re.compile(rf"\?like={following}$"))
    expect_search(page)
    assert following not in shown_ids(page)
    desktop.assert_quiet()


def test_the_less_similar_are_folded_and_go_on_to_the_end(desktop):
    page = desktop.open("/?like=hills-08")
    expect_search(page)
    expect(page.locator("#less-results")).to_have_count(0)
    assert all(distance <= 94 for distance in distances(page))

    page.locator("#less summary").click()
    expect(page.locator("#less-results .card").first).to_be_visible()
    page.locator("#less-results .card").last.scroll_into_view_if_needed()
    expect(page.locator("#less-results .card").nth(PAGE)).to_be_attached()
    page.locator("#less-results .card").last.scroll_into_view_if_needed()
    expect(page.locator("#less-results .card").nth(2 * PAGE)).to_be_attached()
    desktop.assert_quiet()


def test_a_picture_like_no_other_says_so(desktop):
    page = desktop.open()
    page.route("**/search", lambda route: route.fulfill(json=only_far(route.fetch().json())))

    choose(page, STORED.jpeg)

    expect(page.locator("#nothing-similar")).to_contain_text("Nothing similar here")
    expect(page.locator("#less")).to_be_visible()


def only_far(answer: dict) -> dict:
    far = {"exact": False, "rank_distance": None, "likeness": "unrelated"}
    return answer | {"items": [item | far | {"distance": item["distance"] + 150} for item in answer["items"]]}


def test_a_copy_by_its_perceptual_hash_is_shown_however_far_its_code_is(desktop):
    page = desktop.open()
    page.route("**/search", lambda route: route.fulfill(json=copy_with_far_code(route.fetch().json())))

    choose(page, STORED.jpeg)

    first = page.locator("#results .card").first
    expect(first).to_contain_text("Nearly identical")
    expect(first).to_contain_text("150 bits apart")
    second = page.locator("#results .card").nth(1)
    expect(second).to_contain_text("Similar")
    expect(second).to_contain_text("1 bit apart")
    blank = page.locator("#results .card").nth(2)
    expect(blank).to_contain_text("2 bits apart")
    expect(blank.locator(".word")).to_have_count(0)


def copy_with_far_code(answer: dict) -> dict:
    first, *others = answer["items"]
    assert first["rank_distance"] == -1
    second, third, *others = others
    copy, no_copy = {"distance": 150, "likeness": "copy"}, {"distance": 1, "likeness": "similar"}
    blank = {"distance": 2, "likeness": None}
    return answer | {"items": [first | {"exact": False} | copy, second | no_copy, third | blank, *others]}


def test_back_and_forward_return_to_uploads_even_after_a_reload(desktop):
    page = desktop.open()
    choose(page, STRANGER.jpeg, "mine.jpg")
    expect(page.locator("#asked-name")).to_have_text("mine.jpg")
    expect_search(page)
    before = shown_ids(page)

    page.locator("#results .card").nth(1).click()
    expect(page).to_have_url(re.compile("like="))
    expect_search(page)
    page.go_back()
    expect(page.locator("#asked-name")).to_have_text("mine.jpg")
    expect_search(page)
    assert shown_ids(page) == before
    page.reload()
    expect(page.locator("#asked-name")).to_have_text("mine.jpg")
    expect_search(page)
    assert shown_ids(page) == before
    page.locator("#clear").click()
    expect(page.locator("#title")).to_have_text("Newest pictures")
    expect(page.locator("#invitation")).to_be_visible()
    desktop.assert_quiet()


def test_two_quick_backs_end_at_the_first_state(desktop):
    page = desktop.open("/?like=sunset-01")
    expect_search(page)
    first = shown_ids(page)[:PAGE]
    for _ in range(2):
        page.locator("#results .card").first.click()
        expect_search(page)

    page.evaluate("history.back(); history.back();")

    expect(page).to_have_url(re.compile(r"\?like=sunset-01$"))
    expect(page.locator("#results .card").first).to_have_attribute("data-id", first[0])
    expect_search(page)
    assert shown_ids(page)[:PAGE] == first
    desktop.assert_quiet()


def test_an_upload_of_another_browser_is_explained(desktop):
    page = desktop.open("/?upload=0123456789ab")

    expect(page.locator("#problem")).to_contain_text("This browser no longer has that picture")
    choose(page, STORED.jpeg)
    expect_search(page)


def test_a_filter_and_a_distance_narrow_the_answer_and_are_in_the_address(watched):
    page = watched.open()
    choose(page, STORED.jpeg)
    expect_search(page)
    refine(page)

    expect(page.locator("#filter-keys option[value=label]")).to_be_attached()
    add_filter(page, "label", STORED.group)
    expect(page.locator("#summary")).to_contain_text("12 searched")
    expect(page.locator(".chip")).to_contain_text(f"label is {STORED.group}")
    set_distance(page, 0)
    expect(page.locator("#results .card")).to_have_count(1)
    expect(page.locator("#distance-shown")).to_have_text("up to 0 of 256 bits")
    expect(page.locator("#distance-meaning")).to_contain_text("1 within. Nearly identical")
    page.reload()
    expect(page.locator("#results .card")).to_have_count(1)
    refine(page)
    page.locator(".chip").click()
    expect(page.locator("#summary")).to_contain_text(f"{GALLERY} searched")
    add_filter(page, "label", STORED.group, "not")
    expect(page.locator("#empty")).to_contain_text("No picture is that close")
    watched.assert_quiet()


def test_numbers_can_be_filtered_by_a_bound(desktop):
    page = desktop.open()
    expect(page.locator(".card").first).to_be_visible()

    page.fill("#filter-key", "brightness")
    expect(page.locator("#filter-value")).to_have_attribute("placeholder", re.compile(r"^0\.\d+ to 0?\.\d+"))
    add_filter(page, "brightness", "0.6", "gte")

    expect(page).to_have_url(re.compile("filter="))
    expect_answer(page)
    titles = [card.get_attribute("title") for card in page.locator(".card").all()]
    assert titles
    assert all(float(re.search(r"brightness: ([\d.]+)", title).group(1)) >= 0.6 for title in titles)


@pytest.mark.parametrize("view", ["", "view=collection&", "view=duplicates&"])
@pytest.mark.parametrize("text", ["{", "null", "5", '{"must":5}', '{"must":[null]}'])
def test_a_filter_in_the_address_that_makes_no_sense_is_explained(desktop, view, text):
    page = desktop.open(f"/?{view}filter={text}")

    expect(page.locator("#problem")).to_be_visible()
    assert [said for said in desktop.said if "status of 422" not in said] == []


def test_conditions_that_the_fields_cannot_make_are_shown_and_kept(desktop):
    strange = {"must_not": [{"key": "brightness", "range": {"gt": 0.5, "lte": 0.9}}]}
    page = desktop.open(f"/?filter={json.dumps(strange)}")
    expect(page.locator(".chip")).to_have_text(re.compile("not brightness > 0.5 and ≤ 0.9"))

    add_filter(page, "label", "sunset")

    expect(page.locator(".chip")).to_have_count(2)
    query = parse_qs(urlsplit(page.url).query)
    assert json.loads(query["filter"][0]) == strange | {"must": [{"key": "label", "match": "sunset"}]}


def test_large_integers_are_shown_and_asked_for_exactly(desktop):
    tweet = "1234567890123456789"

    def with_a_tweet(route) -> None:
        answer = route.fetch()
        body = answer.text().replace('"metadata":{', '"metadata":{"tweet":' + tweet + ",", 1)
        route.fulfill(response=answer, body=body)

    desktop.page.route("**/images?*", with_a_tweet)
    page = desktop.open()
    expect(page.locator("#results .card").first).to_have_attribute("title", re.compile(f"tweet: {tweet}"))

    with page.expect_response(lambda response: "filter=" in response.url) as asked:
        add_filter(page, "tweet", tweet)
    assert f"%22match%22%3A{tweet}%7D" in asked.value.url


def test_the_slider_suggests_a_mark_over_a_histogram(desktop):
    page = desktop.open("/?like=sunset-01")
    expect_search(page)

    expect(page.locator(".histogram rect").first).to_be_attached()
    page.locator("#suggested").click()

    expect(page.locator("#distance-shown")).to_have_text("up to 58 of 256 bits")
    expect(page.locator("#distance-meaning")).to_contain_text("at most about 1 false match in 10,000")
    expect(page).to_have_url(re.compile("max=58"))
    set_distance(page, 5)
    expect(page.locator("#distance-meaning")).to_contain_text("Nearly identical")
    desktop.assert_quiet()


def part_ids(url: str, crop: dict) -> list[str]:
    """What the service says of a part, asked without a browser."""
    form = {"crop": json.dumps(crop), "limit": "24", "max_distance": "94"}
    answer = httpx2.post(f"{url}/search", files={"file": STRANGER.jpeg}, data=form, timeout=60)
    return [item["id"] for item in answer.json()["items"]]


def test_a_part_is_chosen_by_dragging(watched):
    page = watched.open()
    choose(page, STRANGER.jpeg)
    expect_search(page)
    whole = shown_ids(page)

    page.click("#crop")
    expect(page.locator("#crop-frame img")).to_have_js_property("complete", True)
    box = page.locator("#crop-frame").bounding_box()
    assert min(box["width"], box["height"]) >= 250
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.9, steps=4)
    page.mouse.up()
    page.click("#use-part")

    expect(page.locator("#selection")).to_be_visible()
    expect_search(page)
    x, y, width, height = (float(n) for n in re.search(r"crop=([\d.%C]+)", page.url).group(1).split("%2C"))
    assert (x, y, width, height) == pytest.approx((0.25, 0.3, 0.5, 0.6), abs=0.01)
    expected = part_ids(watched.origin, {"x": x, "y": y, "width": width, "height": height})
    assert shown_ids(page) == expected[: len(shown_ids(page))]
    page.click("#whole")
    expect(page.locator("#selection")).to_have_count(0)
    expect_search(page)
    assert shown_ids(page) == whole
    page.go_back()
    expect(page.locator("#selection")).to_be_visible()
    watched.assert_quiet()


def test_a_part_is_chosen_by_touch(browser, live_server_url):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(live_server_url)
    choose(page, STRANGER.jpeg)
    expect_search(page)
    page.locator("#crop").tap()
    expect(page.locator("#crop-frame img")).to_have_js_property("complete", True)
    box = page.locator("#crop-frame").bounding_box()
    touch = context.new_cdp_session(page)

    def send(kind: str, x: float | None = None, y: float | None = None) -> None:
        at = [] if x is None else [{"x": box["x"] + box["width"] * x, "y": box["y"] + box["height"] * y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    # Down and to the side, as one scrolls: the finger must not move the page.
    send("touchStart", 0.2, 0.2)
    for step in range(1, 6):
        send("touchMove", 0.2 + 0.1 * step, 0.2 + 0.12 * step)
    send("touchEnd")
    expect(page.locator("#crop-part")).to_have_attribute("aria-label", "Part: left 20 %, top 20 %, 50 by 60 %")
    # Browsers take a tap right after a flick as one that only stops it; then the finger taps again.
    for _ in range(10):
        page.wait_for_timeout(800)
        if page.locator("#selection").is_visible():
            break
        if page.locator("#use-part").is_visible():
            page.locator("#use-part").tap()

    expect(page.locator("#selection")).to_be_visible()
    expect_search(page)
    part = [float(n) for n in re.search(r"crop=([\d.%C]+)", page.url).group(1).split("%2C")]
    assert part == pytest.approx([0.2, 0.2, 0.5, 0.6], abs=0.02)
    context.close()


def test_a_part_is_chosen_by_keyboard_and_escape_cancels(desktop):
    page = desktop.open()
    choose(page, STRANGER.jpeg)
    expect_search(page)
    page.click("#crop")
    expect(page.locator("#crop-part")).to_be_focused()

    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    expect(page.locator("#crop-part")).to_have_attribute("aria-label", "Part: left 27 %, top 25 %, 50 by 52 %")
    page.keyboard.press("Escape")
    expect(page.locator("#crop-frame")).to_have_count(0)
    assert "crop" not in page.url
    page.click("#crop")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(r"crop=0.23%2C0.25%2C0.5%2C0.5"))
    expect_search(page)
    desktop.assert_quiet()


def test_turned_pictures_are_found_when_asked_for(desktop):
    page = desktop.open()
    turned = io.BytesIO()
    Image.open(io.BytesIO(STORED.jpeg)).transpose(Image.Transpose.ROTATE_90).save(turned, "PNG")
    choose(page, turned.getvalue())
    expect_search(page)

    page.check("#turned")

    expect(page.locator("#results .note").first).to_contain_text("turned by")
    expect(page.locator(".card .name").first).to_contain_text(STORED.name)
    desktop.assert_quiet()


def test_results_can_be_ranked_by_descriptors(desktop):
    page = desktop.open("/?like=sunset-01")
    expect_search(page)

    page.locator("input[name=rank][value=descriptor]").check()

    expect(page).to_have_url(re.compile("rank=descriptor"))
    expect_search(page)
    address = f"{desktop.origin}/images/sunset-01/similar?rank=descriptor&limit=24"
    expected = httpx2.get(address, timeout=60).json()
    near = [item["id"] for item in expected["items"] if item["distance"] <= 94]
    assert shown_ids(page) == near
    desktop.assert_quiet()


def test_the_colours_of_a_picture_can_be_weighed(desktop):
    page = desktop.open("/?like=sunset-01")
    expect_search(page)

    page.locator("#colour").fill("60")

    expect(page).to_have_url(re.compile("colour=60"))
    expect(page.locator("#colour-weight")).to_have_text("60 %")
    expect_search(page)
    address = f"{desktop.origin}/images/sunset-01/similar?colour=0.6&limit=24"
    expected = httpx2.get(address, timeout=60).json()
    near = [item["id"] for item in expected["items"] if item["distance"] <= 94]
    assert shown_ids(page) == near
    desktop.assert_quiet()


def test_marked_results_are_searched_by(desktop):
    page = desktop.open("/?like=sunset-01")
    expect_search(page)
    wanted, unwanted = shown_ids(page)[0], shown_ids(page)[1]
    for place, label in ((0, "More like"), (1, "Less like")):
        cell = page.locator("#results .cell").nth(place)
        cell.hover()
        cell.get_by_label(label).click()
    expect(page.locator("#marked")).to_contain_text("1 wanted, 1 unwanted")

    page.click("#search-marked")

    expect(page).to_have_url(re.compile(rf"plus=sunset-01%2C{wanted}&minus={unwanted}$"))
    expect_search(page)
    images = [{"image_id": "sunset-01"}, {"image_id": wanted}, {"image_id": unwanted, "sign": "-"}]
    asked = {"images": images, "include_self": False, "limit": 24}
    expected = httpx2.post(f"{desktop.origin}/search", json=asked, timeout=60).json()["items"]
    assert shown_ids(page)[:PAGE] == [item["id"] for item in expected]
    desktop.assert_quiet()


def test_two_pictures_are_compared_bit_by_bit(watched):
    page = watched.open("/?like=sunset-01")
    expect_search(page)
    cell = page.locator("#results .cell").first
    cell.hover()
    cell.get_by_label("Compare with").click()

    expect(page.locator("#comparison")).to_contain_text("Nearly identical")
    apart = int(re.search(r"(\d+) bits of 256 differ", page.locator(".verdict").inner_text()).group(1))
    expect(page.locator("#bits rect.differs")).to_have_count(apart)
    expect(page.locator("#bits rect")).to_have_count(256)
    page.keyboard.press("Escape")
    expect(page.locator("#comparison")).to_have_count(0)
    watched.assert_quiet()


def test_this_very_search_is_offered_as_code(desktop):
    page = desktop.open("/?like=sunset-01&max=80&filter=" + '{"must":[{"key":"kind","match":"scene"}]}')
    expect_search(page)
    expected = shown_ids(page)

    page.click("#use-code")
    snippet = page.locator("#snippet").inner_text()

    body = json.loads(re.search(r"-d '(.*)'", snippet).group(1))
    answer = httpx2.post(f"{desktop.origin}/search", json=body, timeout=60).json()
    assert [item["id"] for item in answer["items"]] == expected
    page.get_by_role("button", name="Python").click()
    python = page.locator("#snippet").inner_text()
    compile(python, "snippet", "exec")
    assert "httpx.post" in python
    page.get_by_role("button", name="fetch").click()
    code = (
        page.locator("#snippet")
        .inner_text()
        .replace("const answer", "answer")
        .replace("const {", "({")
        .rstrip(";")
    )
    found = page.evaluate(f"async () => {{ let answer, items; {code}); return items.map((item) => item.id); }}")
    assert found == expected
    desktop.assert_quiet()


def test_a_picture_is_searched_by_its_id_or_address(desktop):
    page = desktop.open()
    page.fill("#text-query input", "sunset-01")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("like=sunset-01"))
    expect_search(page)

    page.goto(desktop.origin + "/?url=https://pictures.example/a.jpg")

    expect(page.locator("#problem")).to_contain_text("LOOKALIKE_FETCH_HOSTS")


def test_what_is_no_picture_gets_a_word_and_the_page_goes_on(desktop):
    page = desktop.open()

    choose(page, b"plain text", "notes.jpg")

    expect(page.locator("#problem")).to_contain_text("not a picture")
    expect(page.locator("#retry")).to_have_count(0)
    choose(page, STORED.jpeg)
    expect_search(page)
    expect(page.locator("#problem")).to_have_count(0)
    assert desktop.foreign == []


def test_a_service_that_does_not_answer_can_be_tried_again(desktop):
    page = desktop.open()
    page.locator(".card").first.wait_for()

    page.route("**/search", lambda route: route.abort())
    page.locator(".card").first.click()
    expect(page.locator("#problem")).to_contain_text("does not answer")
    page.unroute("**/search")
    page.locator("#retry").click()

    expect_search(page)


def test_pictures_come_back_with_the_service(desktop):
    page = desktop.page
    for path in ("**/info", "**/images?*"):
        page.route(path, lambda route: route.abort())
    desktop.open()
    expect(page.locator("#problem")).to_contain_text("does not answer")

    page.unroute_all()

    expect(page.locator(".card").first).to_be_visible()
    expect(page.locator("#problem")).to_have_count(0)


@pytest.mark.parametrize(
    ("view", "calls", "shown"), [("models", "**/models", ".model"), ("system", "**/admin/*", "#rooms")]
)
def test_a_view_comes_back_with_the_service(desktop, view, calls, shown):
    page = desktop.page
    desktop.open()
    page.locator(".card").first.wait_for()
    for path in (calls, "**/info"):
        page.route(path, lambda route: route.abort())
    page.click(f"#to-{view}")
    expect(page.locator("#problem")).to_contain_text("does not answer")

    page.unroute_all()

    expect(page.locator(shown).first).to_be_visible()
    expect(page.locator("#problem")).to_have_count(0)


def test_a_refusal_is_told_in_its_own_words(desktop):
    detail = "The picture store does not answer."
    page = desktop.open()
    page.locator(".card").first.wait_for()
    body = {
        "status": 503,
        "title": "Service Unavailable",
        "code": "storage_unavailable",
        "detail": detail,
        "errors": [],
    }
    page.route("**/search", lambda route: route.fulfill(status=503, json=body))

    page.locator(".card").first.click()

    expect(page.locator("#problem strong")).to_have_text(detail)
    expect(page.locator("#problem")).not_to_contain_text("Service Unavailable")


def test_a_view_that_cannot_be_loaded_can_be_tried_again(desktop):
    page = desktop.open()
    page.locator(".card").first.wait_for()
    page.route("**/views/models.js", lambda route: route.abort())
    page.click("#to-models")
    expect(page.locator("#problem")).to_contain_text("does not answer")

    page.unroute_all()
    page.click("#retry")

    expect(page.locator(".model").first).to_be_visible()


def test_a_thumbnail_dragged_within_the_page_is_no_query(desktop):
    page = desktop.open()
    page.locator(".card").nth(1).wait_for()

    page.locator(".card img").nth(0).drag_to(page.locator(".card img").nth(1))

    assert page.url == desktop.origin + "/"
    desktop.assert_quiet()


def test_a_picture_that_browsers_cannot_show_is_searched(desktop):
    page = desktop.open()
    scan = io.BytesIO()
    Image.open(io.BytesIO(STORED.jpeg)).save(scan, "TIFF")

    choose(page, scan.getvalue(), "scan.tiff")

    expect_search(page)
    expect(page.locator("#drop")).to_contain_text("no preview")
    expect(page.locator("#crop")).to_have_count(0)


def save_nothing(route) -> None:
    """Answer a change with the picture as it is: the gallery is shared with tests that only look."""
    if route.request.method == "PATCH":
        route.fulfill(json=httpx2.get(route.request.url, timeout=60).json())
    else:
        route.continue_()


def test_what_is_shown_stays_when_pictures_change(desktop):
    """An edit asks again for as many pictures as are shown, so the window does not jump."""
    page = desktop.open("/?view=collection")
    page.locator(".card").nth(47).scroll_into_view_if_needed()
    expect(page.locator(".card").nth(95)).to_be_attached()
    before = shown_ids(page)
    page.route("**/info", lambda route: route.fulfill(json=route.fetch().json() | {"index_version": 10**6}))
    page.route("**/images/*?collection=default", save_nothing)
    page.locator(".card").nth(60).click()

    page.click("#save-metadata")

    expect(page.locator(".toast")).to_contain_text("Saved")
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")
    assert shown_ids(page)[: len(before)] == before


def test_an_answer_that_was_overtaken_is_not_shown(desktop):
    page = desktop.open()
    page.locator(".card").nth(2).wait_for()
    held = []

    def hold(route) -> None:
        held.append(route)

    page.route("**/search", hold, times=1)

    with page.expect_request("**/search"):
        page.locator(".card").nth(1).click()
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "true")
    page.go_back()
    page.locator(".card").nth(2).click()
    expect_search(page)
    shown = shown_ids(page)
    held[0].abort()
    page.wait_for_timeout(200)

    assert shown_ids(page) == shown
    expect(page.locator("#problem")).to_have_count(0)


def test_the_whole_page_works_by_keyboard(desktop):
    page = desktop.open('/?filter={"must":[{"key":"label","match":"sunset"}]}')
    page.locator(".card").first.wait_for()

    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_be_focused()
    page.locator(".card").first.focus()
    page.keyboard.press("Enter")

    expect_search(page)
    expect(page.locator("#results .card").first).to_have_accessible_name(
        re.compile(r"(Similar|Nearly identical), \d+ bits? apart. Find")
    )


def test_state_is_said_while_the_service_starts(desktop):
    page = desktop.page
    answers = iter(
        [
            {"phase": "loading", "done": None, "total": None, "detail": "the index is still being loaded"},
            {"phase": "samples", "done": 120, "total": 324, "detail": None},
        ]
    )

    def starting(route) -> None:
        answer = route.fetch()
        phase = next(answers, None)
        route.fulfill(response=answer, json=answer.json() | {"starting": phase})

    page.route("**/info", starting, times=3)
    unready = {"title": "Service Unavailable", "status": 503, "detail": "The index is being loaded."}
    headers = {"Retry-After": "1", "Content-Type": "application/problem+json"}
    page.route(
        "**/info", lambda route: route.fulfill(status=503, headers=headers, body=json.dumps(unready)), times=1
    )

    desktop.open()

    expect(page.locator("#starting")).to_contain_text("Preparing…")
    expect(page.locator("#problem")).to_have_count(0)
    expect(page.locator("#starting")).to_contain_text("sample gallery 120 of 324")
    expect(page.locator(".card").first).to_be_visible()
    expect(page.locator("#starting")).to_have_count(0)


def test_a_service_with_keys_asks_for_one_and_remembers_it(browser, start):
    secret = "a-key-for-the-browser-test"
    server = start(env={"LOOKALIKE_BOOTSTRAP_ADMIN_KEY": secret})
    with server.client(headers={"Authorization": f"Bearer {secret}"}) as client:
        client.put("/images/mine", content=STORED.jpeg)
    page = browser.new_page()
    page.set_default_timeout(20_000)
    said: list[str] = []
    page.goto(server.url)

    expect(page.locator("#key-form")).to_be_visible()
    page.fill("#key", "not-the-key")
    page.locator("#key-form button").click()
    expect(page.locator("#key-problem")).to_contain_text(re.compile(r"\S"))
    page.fill("#key", secret)
    page.locator("#key-form button").click()

    expect(page.locator(".card")).to_have_count(1)
    choose(page, STORED.jpeg)
    expect(page.locator(".card").first.locator(".badge")).to_be_visible()
    image = page.locator(".card img").first
    assert re.search(r"signature=[0-9a-f]+", image.get_attribute("src"))
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") > 0
    assert page.evaluate("document.cookie") == ""
    page.context.clear_cookies()
    page.locator(".card").first.click()
    expect(page.locator("#key-form")).to_be_visible()

    with server.client(headers={"Authorization": f"Bearer {secret}"}) as client:
        made = client.post("/admin/keys", json={"name": "finder", "scope": "search"}).json()
    page.goto(server.url)
    expect(page.locator("#key-form")).to_be_visible()
    page.wait_for_load_state("networkidle")
    # Only from here on: the page has just been refused, which browsers note.
    page.on("console", lambda message: said.append(message.text))
    page.fill("#key", made["secret"])
    page.locator("#key-form button").click()
    expect(page.locator("#searches-only")).to_be_visible()
    expect(page.locator("nav a")).to_have_text(["Search"])
    expect(page.locator("#problem")).to_have_count(0)
    choose(page, STORED.jpeg)
    expect(page.locator(".card").first.locator(".badge")).to_be_visible()
    assert said == []
    page.locator("#sign-out").click()
    expect(page.locator("#key-form")).to_be_visible()
    page.close()
