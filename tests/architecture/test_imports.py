"""What the import contracts cannot see: what a fresh process really loads."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["app.api.app", "app.bootstrap", "app.worker", "app.client", "app.cli.main"])
def test_a_process_that_serves_loads_no_torch(module):
    code = (
        f"import sys, {module}; print([m for m in sys.modules if m.split('.')[0] in ('torch', 'torchvision')])"
    )

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


def test_the_client_loads_nothing_of_the_service():
    code = "import sys, app.client; print(sorted(m for m in sys.modules if m.startswith('app')))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "['app', 'app.client', 'app.client.client']"
