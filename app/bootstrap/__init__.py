"""Composition root: build from settings what each entry point needs.

``open_serving`` builds the service behind the HTTP API, ``open_worker`` what the handlers of jobs need, and
``open_database`` the database alone.
"""

from app.bootstrap.database import active_key_exists, make_folders, open_database, registered_models
from app.bootstrap.serving import ServingServices, open_serving
from app.bootstrap.shared import make_engine, make_models
from app.bootstrap.worker import WorkerServices, open_worker, worker_services

__all__ = [
    "ServingServices",
    "WorkerServices",
    "active_key_exists",
    "make_engine",
    "make_folders",
    "make_models",
    "open_database",
    "open_serving",
    "open_worker",
    "registered_models",
    "worker_services",
]
