"""Build the page and launch it; what a Hugging Face Space runs."""

from __future__ import annotations

import os

from explorer.ui.page import serve

if __name__ == "__main__":
    # A Space's proxy reaches the app from outside its container; anywhere else the page stays on this machine.
    serve(host="0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1")
