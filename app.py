"""Build the page and launch it; what a Hugging Face Space runs."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    print("Starting: libraries first, then the models of the first view.", file=sys.stderr, flush=True)
    # They take seconds to import.
    from explorer.ui.page import serve

    # A Space's proxy reaches the app from outside its container; anywhere else the page stays on this machine.
    host = "0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1"
    # Whoever runs the Space lets classes vote by a variable in its settings.
    serve(host=host, vote=os.environ.get("EXPLORER_VOTE", "") in ("1", "true", "yes"))
