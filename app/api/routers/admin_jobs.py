"""``/admin/jobs/…``: start jobs of each kind."""

from fastapi import APIRouter

router = APIRouter(prefix="/admin/jobs", tags=["jobs"])
