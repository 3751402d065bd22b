"""Print the requirements of one extra of pyproject.toml, one a line (Python 3.9 has no tomllib)."""

import re
import sys
from pathlib import Path

text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
block = re.search(rf"^{re.escape(sys.argv[1])} = \[(.*?)^\]", text, re.S | re.M)
if block is None:
    sys.exit(f"pyproject.toml has no extra named {sys.argv[1]}")
print("\n".join(re.findall(r'"([^"]+)"', block[1])))
