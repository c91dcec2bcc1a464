"""The browser of the tests of pages; `browser` is a fixture."""

from tests.support.chromium import browser as browser
