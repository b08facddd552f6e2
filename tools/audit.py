"""Look for published vulnerabilities of the pinned packages, where there is a network.

The versions of each file in ``requirements/`` are compared with PyPI's advisories by pip-audit.

    python tools/audit.py
"""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

REQUIREMENTS: Final = Path(__file__).resolve().parent.parent / "requirements"
ADVISORIES: Final = "https://pypi.org/pypi/pip/json"
TIMEOUT_S: Final = 10


def main() -> int:
    """Audit every lock file; return 1 if a package has a known vulnerability."""
    try:
        urllib.request.urlopen(ADVISORIES, timeout=TIMEOUT_S).close()
    except (urllib.error.URLError, OSError) as error:
        print(f"Nothing was audited: the advisories at pypi.org cannot be reached from here ({error}).")
        return 0
    failed = [lock.name for lock in sorted(REQUIREMENTS.glob("*.lock")) if not _is_clean(lock)]
    print(f"Vulnerable, or not audited: {', '.join(failed)}." if failed else "No known vulnerability.")
    return 1 if failed else 0


def _is_clean(lock: Path) -> bool:
    print(f"{lock.name}:", flush=True)
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--no-deps", "--disable-pip"]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - fixed arguments


if __name__ == "__main__":
    sys.exit(main())
