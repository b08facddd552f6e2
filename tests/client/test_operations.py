"""The operations of administrators and of whoever runs jobs, each called once with both clients."""

import io
import zipfile
from datetime import timedelta

import pytest

from app.api.app import create_app
from app.settings import Settings
from lookalike_client import AsyncClient, Client, KeyRefused, NewPicture, NotFound, ServiceError, StateConflict
from tests.api.conftest import draw, local_client
from tests.client.conftest import URL, Awaited, transport_of

ADMIN_KEY = "the admin key of this test"


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.png", content)
    return file.getvalue()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, make_data_dir):
    """The test client of an application with keys in use and two pictures."""
    data_dir = make_data_dir(tmp_path_factory.mktemp("guarded") / "data")
    settings = Settings(data_dir=data_dir, decode_children=1, bootstrap_admin_key=ADMIN_KEY)
    with local_client(create_app(settings, load_first=True)) as started:
        admin = Client(URL, key=ADMIN_KEY, transport=started._transport)
        admin.add_pictures([NewPicture(draw(i), id=f"p{i}", metadata={"n": i}) for i in range(2)])
        yield started


@pytest.fixture(params=["blocking", "async"])
def connect(request, guarded):
    """Makes a client with a key."""

    def run(key: str):
        if request.param == "blocking":
            return Client(URL, key=key, transport=guarded._transport)
        return Awaited(AsyncClient(URL, key=key, transport=transport_of(guarded)), guarded.portal)

    return run


@pytest.fixture
def admin(connect):
    return connect(ADMIN_KEY)


def test_keys_are_created_changed_rotated_and_revoked(admin, connect):
    key = admin.create_key("for a page", "search", collections=["default"])
    expires = key.created_at + timedelta(days=1)

    changed = admin.patch_key(key.id, expires_at=expires)
    assert (changed.expires_at, changed.collections, changed.name) == (expires, ("default",), "for a page")
    assert admin.patch_key(key.id, collections=None).collections is None
    assert connect(key.secret).search_by_query(image_id="p0", include_self=True).items[0].content_url is None
    with pytest.raises(KeyRefused) as caught:
        connect(key.secret).list_pictures()
    assert caught.value.code == "forbidden"
    rotated = admin.rotate_key(key.id, overlap_s=0)
    with pytest.raises(KeyRefused):
        connect(key.secret).get_info()
    assert connect(rotated.secret).get_info().images == 2
    admin.revoke_key(key.id)
    assert admin.get_key(key.id).revoked_at is not None
    assert key.id in [one.id for one in admin.list_keys().items]


def test_the_service_describes_itself(admin):
    assert admin.get_health().status == "ok"
    assert admin.get_readiness().status == "ready"
    assert admin.get_info().keys_required
    assert admin.get_system().room[0].collection == "default"
    assert "lookalike_" in admin.get_metrics()


def test_a_collection_describes_itself(admin):
    hit = admin.search_by_query(image_id="p0", include_self=True)

    assert admin.get_collection("default").model == hit.index.model
    assert admin.get_collection_stats("default").images == 2
    assert admin.get_calibration("default").likeness[0].likeness == "copy"
    assert [(key.key, key.values) for key in admin.list_metadata_keys("default").items] == [("n", (0, 1))]
    counts = admin.get_distances("default", code=hit.query.code, model=hit.index.model).counts
    assert (counts[0], sum(counts)) == (1, 2)
    assert admin.search_by_stored_picture("p0", limit=1).items[0].id == "p1"
    by_words = admin.search_by_query(text="dog -cat", limit=2)
    assert [one.sign for one in by_words.query.understood_as or ()] == ["+", "-"]
    assert len(by_words.items) == 2
    assert admin.suggest_words("p0", limit=2).items[0].share > 0
    assert admin.list_learned_words("default").items == ()
    assert admin.find_duplicates(max_distance=256).items[0].size == 2
    assert next(iter(admin.iter_duplicates(max_distance=256))).images[0].id == "p0"


def test_models_are_listed_compared_and_switched(admin):
    model = admin.get_collection("default").model
    other = next(one.name for one in admin.list_models().items if one.name != model)

    assert admin.get_model_report(model).document["name"] == model
    assert admin.compare_models(model, ["p0"], limit=1).overlap == 1.0
    with pytest.raises(StateConflict) as caught:
        admin.activate_model(other)
    assert caught.value.code == "codes_missing"
    with pytest.raises(StateConflict):
        admin.roll_back_model()
    assert admin.prune_codes().codes == 0


def test_jobs_are_started_listed_and_controlled(admin):
    starts = {
        "backup": lambda: admin.start_backup(copy_pictures=True),
        "verify": lambda: admin.start_verification(deep=True),
        "evaluate": lambda: admin.start_evaluation(label="n"),
        "learn_words": lambda: admin.start_learning_words(["label"], min_pictures=2),
        "reencode": lambda: admin.start_reencoding(admin.get_collection("default").model, force=True),
        "index": lambda: admin.import_upload(archive=zipped(draw(5)), name="pictures.zip"),
    }
    for kind, start in starts.items():
        job = start()
        assert (job.type, job.status) == (kind, "queued")
        assert admin.pause_job(job.id).status == "paused"
        assert admin.resume_job(job.id).status == "queued"
        assert admin.cancel_job(job.id).status == "cancelled"
        assert [one.status for one in admin.stream_job_events(job.id)] == ["cancelled"]
        assert admin.wait_for_job(job.id).is_over
        assert admin.retry_job(job.id).status == "queued"
        admin.cancel_job(job.id)
        assert job.id in [one.id for one in admin.iter_jobs(type=kind, limit=1)]
        assert list(admin.iter_job_items(job.id)) == []
        assert admin.list_jobs(type=kind, status="cancelled").items[0].collection == job.collection


def test_what_is_not_set_up_or_does_not_exist_is_refused_with_a_code(admin):
    refused = {
        "url_not_allowed": lambda: admin.search_by_query(url="http://pictures.example/a.jpg"),
        "validation_failed": admin.import_pictures,
        "unknown_backup": lambda: admin.start_restore("01KAXG7V0M9E3WQ4T8B2Y6ZC5R"),
    }
    for code, call in refused.items():
        with pytest.raises(ServiceError) as caught:
            call()
        assert caught.value.code == code
    for call in (admin.start_import, admin.import_pictures):
        with pytest.raises(ServiceError):
            call(folder="none")
    with pytest.raises(NotFound):
        admin.delete_backup("01KAXG7V0M9E3WQ4T8B2Y6ZC5R")
    assert admin.list_backups().items == ()
    with pytest.raises(ServiceError):
        admin.start_training("m", bits=7)


def test_a_session_replaces_the_key_until_it_is_closed(admin):
    admin.open_session()
    assert admin.get_info().images == 2
    admin.close_session()
