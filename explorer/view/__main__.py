"""``python -m explorer.view`` prints the JSON Schema of what a browser may ask."""

import json

from explorer.view.forms import schema

if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
