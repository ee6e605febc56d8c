"""What tests of scripts share: a page that talks to the test.

Imported inside, for this module is loaded before the settings exist.
"""

from typing import Any

import pytest
from playwright.sync_api import Page


@pytest.fixture
def server(page: Page) -> Any:
    from speedtrade.testing.fake_pages import served

    return served(page)
