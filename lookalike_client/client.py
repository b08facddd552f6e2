"""The two clients: one blocking, one for event loops, with the same methods."""

from lookalike_client.answers.jobs import Job
from lookalike_client.descriptors import Items, Operation, Streamed
from lookalike_client.operations import backups, collections, jobs, keys, models, pictures, search, service
from lookalike_client.transports import AsyncTransport, SyncTransport


class Operations:
    """The operations of the service, each named as in its OpenAPI document, in snake case.

    The ``iter_`` methods iterate over all pages of a list.
    """

    search_by_upload = Operation(search.search_by_upload)
    search_by_query = Operation(search.search_by_query)
    search_by_stored_picture = Operation(search.search_by_stored_picture)
    suggest_words = Operation(search.suggest_words)
    search_batch = Operation(search.search_batch)
    compare_uploads = Operation(search.compare_uploads)
    compare_stored = Operation(search.compare_stored)
    find_duplicates = Operation(search.find_duplicates)
    call_different = Operation(search.call_different)
    take_back_different = Operation(search.take_back_different)
    list_different = Operation(search.list_different)
    iter_search_by_upload = Items(search.search_by_upload, search.next_search_page)
    iter_search_by_query = Items(search.search_by_query, search.next_search_page)
    iter_duplicates = Items(search.find_duplicates)

    add_pictures = Operation(pictures.add_pictures)
    import_upload = Operation(pictures.import_upload)
    import_pictures = Operation(pictures.import_pictures)
    list_pictures = Operation(pictures.list_pictures)
    iter_pictures = Items(pictures.list_pictures)
    get_picture = Operation(pictures.get_picture)
    put_picture = Operation(pictures.put_picture)
    patch_picture = Operation(pictures.patch_picture)
    delete_picture = Operation(pictures.delete_picture)
    delete_pictures = Operation(pictures.delete_pictures)
    get_thumbnail = Operation(pictures.get_thumbnail)
    get_content = Operation(pictures.get_content)

    list_collections = Operation(collections.list_collections)
    iter_collections = Items(collections.list_collections)
    create_collection = Operation(collections.create_collection)
    get_collection = Operation(collections.get_collection)
    patch_collection = Operation(collections.patch_collection)
    delete_collection = Operation(collections.delete_collection)
    get_collection_stats = Operation(collections.get_collection_stats)
    get_calibration = Operation(collections.get_calibration)
    list_metadata_keys = Operation(collections.list_metadata_keys)
    list_learned_words = Operation(collections.list_learned_words)
    export_labels = Streamed(collections.export_labels)
    get_distances = Operation(collections.get_distances)

    list_models = Operation(models.list_models)
    get_model_report = Operation(models.get_model_report)
    start_reencoding = Operation(models.start_reencoding)
    start_training = Operation(models.start_training)
    start_evaluation = Operation(models.start_evaluation)
    start_learning_words = Operation(models.start_learning_words)
    activate_model = Operation(models.activate_model)
    roll_back_model = Operation(models.roll_back_model)
    prune_codes = Operation(models.prune_codes)
    compare_models = Operation(models.compare_models)

    list_jobs = Operation(jobs.list_jobs)
    iter_jobs = Items(jobs.list_jobs)
    get_job = Operation(jobs.get_job)
    list_job_items = Operation(jobs.list_job_items)
    iter_job_items = Items(jobs.list_job_items)
    cancel_job = Operation(jobs.cancel_job)
    pause_job = Operation(jobs.pause_job)
    resume_job = Operation(jobs.resume_job)
    retry_job = Operation(jobs.retry_job)
    stream_job_events = Streamed(jobs.stream_job_events)
    start_import = Operation(jobs.start_import)

    start_backup = Operation(backups.start_backup)
    start_verification = Operation(backups.start_verification)
    list_backups = Operation(backups.list_backups)
    delete_backup = Operation(backups.delete_backup)
    start_restore = Operation(backups.start_restore)
    export_collection = Streamed(backups.export_collection)

    list_keys = Operation(keys.list_keys)
    create_key = Operation(keys.create_key)
    get_key = Operation(keys.get_key)
    patch_key = Operation(keys.patch_key)
    rotate_key = Operation(keys.rotate_key)
    revoke_key = Operation(keys.revoke_key)

    get_health = Operation(service.get_health)
    get_readiness = Operation(service.get_readiness)
    get_info = Operation(service.get_info)
    get_system = Operation(service.get_system)
    get_metrics = Operation(service.get_metrics)
    open_session = Operation(service.open_session)
    close_session = Operation(service.close_session)


class Client(Operations, SyncTransport):
    """A blocking client of one service; several threads may share it.

    Example:
        >>> with Client("http://127.0.0.1:8000") as client:  # doctest: +SKIP
        ...     for hit in client.search_by_upload(Path("query.jpg"), limit=5).items:
        ...         print(hit.id, hit.distance)
    """

    def wait_for_job(self, job_id: str) -> Job:
        """Wait until a job is over, and return it.

        Raises:
            ServiceError: The service refused the request, failed, or did not answer.
        """
        for job in self.stream_job_events(job_id):
            last = job
        return last


class AsyncClient(Operations, AsyncTransport):
    """A client of one service for event loops.

    Example:
        >>> async with AsyncClient("http://127.0.0.1:8000") as client:  # doctest: +SKIP
        ...     answer = await client.search_by_upload(Path("query.jpg"), limit=5)
    """

    async def wait_for_job(self, job_id: str) -> Job:
        """Wait until a job is over, and return it.

        Raises:
            ServiceError: The service refused the request, failed, or did not answer.
        """
        async for job in self.stream_job_events(job_id):
            last = job
        return last
