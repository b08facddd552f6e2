"""Look for published vulnerabilities of the pinned packages, where there is a network.

The versions of each file in ``requirements/`` are compared with PyPI's advisories by pip-audit.

    python tools/audit.py
"""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Final

REQUIREMENTS: Final = Path(__file__).resolve().parent.parent / "requirements"
KNOWN_VULNERABLE: Final = "https://pypi.org/pypi/jinja2/2.4.1/json"
"""A release with old advisories; where these are missing, so are all others."""
TIMEOUT_S: Final = 10


def main() -> int:
    """Audit every lock file; return 1 if a package has a known vulnerability."""
    reason = _unreachable()
    if reason is not None:
        print(f"Nothing was audited: the advisories at pypi.org cannot be read from here ({reason}).")
        return 0
    failed = [lock.name for lock in sorted(REQUIREMENTS.glob("*.lock")) if not _is_clean(lock)]
    print(f"Vulnerable, or not audited: {', '.join(failed)}." if failed else "No known vulnerability.")
    return 1 if failed else 0


def _unreachable() -> str | None:
    """Return why the advisories cannot be read, or None."""
    try:
        with urllib.request.urlopen(KNOWN_VULNERABLE, timeout=TIMEOUT_S) as answer:
            return None if json.load(answer).get("vulnerabilities") else "no advisories in the answer"
    except (OSError, ValueError) as error:
        return str(error)


def _is_clean(lock: Path) -> bool:
    print(f"{lock.name}:", flush=True)
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        str(lock),
        "--no-deps",
        "--disable-pip",
        "--strict",
    ]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - fixed arguments


if __name__ == "__main__":
    sys.exit(main())
