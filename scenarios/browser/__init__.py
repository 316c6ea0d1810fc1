"""A real browser as client: headless Chromium runs scenarios in a page against any server.

``chromium`` starts and drives the browser, ``page.js`` plays, ``scenarios`` says what has to come out.
"""
