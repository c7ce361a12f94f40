"""``python -m explorer.view`` prints the JSON Schema of what a browser may ask; with ``--types`` as TypeScript.

The latter is kept in ``assets/web/view.d.ts``, against which the page's modules are checked.
"""

import argparse
import json

from explorer.view.forms import schema
from explorer.view.types import declarations

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m explorer.view", description="Print what a browser may ask.")
    parser.add_argument("--types", action="store_true", help="as TypeScript, for assets/web/view.d.ts")
    print(declarations(schema()) if parser.parse_args().types else json.dumps(schema(), indent=1))
